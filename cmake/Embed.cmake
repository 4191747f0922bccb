# src/report/page.{html,css,js} as strings in bilens_report: assets.cpp is made by this same file, run as a script
# whenever one of them changes.
if(CMAKE_SCRIPT_MODE_FILE)
  foreach(name html css js)
    file(READ ${SOURCE}/page.${name} ${name})
  endforeach()
  configure_file(${SOURCE}/assets.cpp.in ${OUTPUT} @ONLY)
  return()
endif()

set(source ${PROJECT_SOURCE_DIR}/src/report)
set(output ${PROJECT_BINARY_DIR}/assets.cpp)
add_custom_command(OUTPUT ${output}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${source} -DOUTPUT=${output} -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${source}/page.html ${source}/page.css ${source}/page.js ${source}/assets.cpp.in ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "Embedding the report page" VERBATIM)
set_source_files_properties(${output} PROPERTIES INCLUDE_DIRECTORIES ${source})
target_sources(bilens_report PRIVATE ${output})
