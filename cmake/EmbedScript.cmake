# scripts/make_reference.py as a string in bilens_run: reference_script.cpp is made by this same file, run as a script
# whenever one of its parts changes.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${SCRIPT} reference_script)
  configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
  return()
endif()

set(script ${PROJECT_SOURCE_DIR}/scripts/make_reference.py)
set(template ${PROJECT_SOURCE_DIR}/src/run/models/reference_script.cpp.in)
set(output ${PROJECT_BINARY_DIR}/reference_script.cpp)
add_custom_command(OUTPUT ${output}
  COMMAND ${CMAKE_COMMAND} -DSCRIPT=${script} -DTEMPLATE=${template} -DOUTPUT=${output} -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${script} ${template} ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "Embedding make_reference.py" VERBATIM)
target_sources(bilens_run PRIVATE ${output})
