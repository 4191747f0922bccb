# src/report/{page,report,explanation}.{html,css,js} and scripts of their own as strings in bilens_report: assets.cpp is
# made by this same file, run as a script whenever one of them changes.
set(names page report explanation prompt)
set(scripts elements pictures charts exports  # parts of all pages
    facts notices training lines directions eigenvectors truncation factors  # of the report
    conversion corpus tokens models robustness
    waterfall)  # of the explanations
if(CMAKE_SCRIPT_MODE_FILE)
  foreach(name IN LISTS names)
    foreach(kind html css js)
      file(READ ${SOURCE}/${name}.${kind} ${name}_${kind})
    endforeach()
  endforeach()
  foreach(script IN LISTS scripts)
    file(READ ${SOURCE}/${script}.js ${script}_js)
  endforeach()
  configure_file(${SOURCE}/assets.cpp.in ${OUTPUT} @ONLY)
  return()
endif()

set(source ${PROJECT_SOURCE_DIR}/src/report)
set(output ${PROJECT_BINARY_DIR}/assets.cpp)
set(parts ${source}/assets.cpp.in)
foreach(script IN LISTS scripts)
  list(APPEND parts ${source}/${script}.js)
endforeach()
foreach(name IN LISTS names)
  list(APPEND parts ${source}/${name}.html ${source}/${name}.css ${source}/${name}.js)
endforeach()
add_custom_command(OUTPUT ${output}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${source} -DOUTPUT=${output} -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${parts} ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "Embedding the pages" VERBATIM)
set_source_files_properties(${output} PROPERTIES INCLUDE_DIRECTORIES ${source})
target_sources(bilens_report PRIVATE ${output})
