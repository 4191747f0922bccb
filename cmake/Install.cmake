# `cmake --install`: headers, libraries, the program, and a package that find_package(bilens) finds. Offered when every
# dependency was found rather than fetched, because an exported target must be findable again.
if(BILENS_WHEEL)
  return()
endif()
if(BILENS_FETCHED)
  message(STATUS "install: not offered, fetched dependencies: ${BILENS_FETCHED}")
  return()
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/bilens)

install(TARGETS ${BILENS_STAGES} bilens_all bilens_options bilens_torch EXPORT bilens)
install(TARGETS bilens_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
set_target_properties(bilens_program PROPERTIES
  INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${BILENS_TORCH_ROOT}/lib")
if(TARGET bilens_cuda)
  install(TARGETS bilens_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/bilens DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT bilens NAMESPACE bilens:: FILE bilens-targets.cmake DESTINATION ${package})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/bilens-config.cmake.in
  ${PROJECT_BINARY_DIR}/bilens-config.cmake INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/bilens-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/bilens-config.cmake ${PROJECT_BINARY_DIR}/bilens-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindSentencePiece.cmake
  DESTINATION ${package})
