# bilens._bilens, the Python package's module: src/python/*.cpp over all stages, for the Python whose torch is built
# with. It is made when asked for (target bilens_python; scripts/setup.sh --python, pip), for it needs Python's headers.
option(BILENS_PYTHON_MODULE "Offer the target bilens_python, the module of the Python package" OFF)
if(NOT BILENS_PYTHON_MODULE)
  return()
endif()
if(NOT BILENS_WHEEL AND EXISTS ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  set(Python_EXECUTABLE ${PROJECT_SOURCE_DIR}/.venv/bin/python)
endif()
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)

file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/python/*.cpp)
Python_add_library(bilens_python MODULE WITH_SOABI ${sources})
target_include_directories(bilens_python PRIVATE ${PROJECT_SOURCE_DIR}/src/python)
# LibTorch's side of Python, with the pybind11 that comes with it.
target_link_libraries(bilens_python PRIVATE bilens_cli bilens_options ${BILENS_TORCH_ROOT}/lib/libtorch_python.so)
target_compile_options(bilens_python PRIVATE -fvisibility=hidden ${BILENS_LITTLE_OPTIMISED})
if(BILENS_UNITY)
  set_target_properties(bilens_python PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${BILENS_BATCH})
endif()
# What the package is installed beside: torch's libraries, and libbilens_cuda.so in its own folder.
set_target_properties(bilens_python PROPERTIES OUTPUT_NAME _bilens EXCLUDE_FROM_ALL ON
  LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/python/bilens INSTALL_RPATH "$ORIGIN;$ORIGIN/../torch/lib")

# The package as it is installed, in build/python: the sources are links.
set(package ${PROJECT_BINARY_DIR}/python/bilens)
file(MAKE_DIRECTORY ${package})
configure_file(${PROJECT_SOURCE_DIR}/src/python/bilens/_build.py.in ${package}/_build.py @ONLY)
set(sources ${PROJECT_SOURCE_DIR}/src/python/bilens)
file(GLOB faces CONFIGURE_DEPENDS ${sources}/*.py ${sources}/*.pyi ${sources}/py.typed)
foreach(face IN LISTS faces)
  get_filename_component(name ${face} NAME)
  file(CREATE_LINK ${face} ${package}/${name} SYMBOLIC)
endforeach()

install(FILES ${faces} ${package}/_build.py COMPONENT python DESTINATION bilens EXCLUDE_FROM_ALL)
if(BILENS_WHEEL)  # beside torch, and beside libbilens_cuda.so in the package's folder
  set_target_properties(bilens_program PROPERTIES INSTALL_RPATH "$ORIGIN/..;$ORIGIN/../../torch/lib")
  if(TARGET bilens_cuda)
    set_target_properties(bilens_cuda PROPERTIES INSTALL_RPATH "$ORIGIN/../torch/lib")
  endif()
endif()
install(TARGETS bilens_program COMPONENT python RUNTIME DESTINATION bilens/bin EXCLUDE_FROM_ALL)
install(TARGETS bilens_python COMPONENT python DESTINATION bilens EXCLUDE_FROM_ALL)
if(TARGET bilens_cuda)
  install(TARGETS bilens_cuda COMPONENT python LIBRARY DESTINATION bilens EXCLUDE_FROM_ALL)
endif()
