# bilens_torch: LibTorch as an imported target, made from its headers and libraries alone.
#
# The find_package(Torch) that comes with a CUDA build of LibTorch is fatal where the CUDA toolkit is missing, although
# the CPU library needs none of it; so it is not used. Looked at, in this order:
#   BILENS_TORCH        a LibTorch folder (include/, lib/), or a Python whose torch is taken
#   Torch_DIR           .../share/cmake/Torch of a LibTorch
#   CMAKE_PREFIX_PATH   folders that hold include/torch or include/ATen
#   .venv               the environment that scripts/setup.sh makes
# A wheel takes the torch of the Python that pip builds it with.
set(BILENS_TORCH "" CACHE STRING "A LibTorch folder, or a Python interpreter whose torch is used")

function(bilens_torch_of_python python result)
  # Located, not imported: the wheel's Python side need not work.
  execute_process(COMMAND ${python} -c
    "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE root OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${result} "${root}" PARENT_SCOPE)
endfunction()

set(candidates)
if(BILENS_WHEEL)
  bilens_torch_of_python(${Python_EXECUTABLE} candidates)  # pip's, which the package is built for
elseif(BILENS_TORCH)
  if(IS_DIRECTORY ${BILENS_TORCH})
    set(candidates ${BILENS_TORCH})
  else()
    bilens_torch_of_python(${BILENS_TORCH} candidates)
  endif()
else()
  if(Torch_DIR)
    list(APPEND candidates ${Torch_DIR}/../../..)
  endif()
  list(APPEND candidates ${CMAKE_PREFIX_PATH})
  if(EXISTS ${PROJECT_SOURCE_DIR}/.venv/bin/python)
    bilens_torch_of_python(${PROJECT_SOURCE_DIR}/.venv/bin/python root)
    list(APPEND candidates ${root})
  endif()
endif()

set(BILENS_TORCH_ROOT)
foreach(candidate IN LISTS candidates)
  if(EXISTS ${candidate}/include/ATen/ATen.h AND NOT BILENS_TORCH_ROOT)
    get_filename_component(BILENS_TORCH_ROOT ${candidate} REALPATH)
  endif()
endforeach()
if(NOT BILENS_TORCH_ROOT)
  message(FATAL_ERROR "No LibTorch found (looked at: ${candidates}).\n"
    "Run scripts/setup.sh, or name one with -DBILENS_TORCH=FOLDER_OR_PYTHON.")
endif()

set(version_header ${BILENS_TORCH_ROOT}/include/torch/headeronly/version.h)
if(NOT EXISTS ${version_header})
  set(version_header ${BILENS_TORCH_ROOT}/include/torch/csrc/api/include/torch/version.h)
endif()
file(STRINGS ${version_header} version_lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "[^0-9;]" "" version_numbers "${version_lines}")
string(REPLACE ";" "." BILENS_TORCH_VERSION "${version_numbers}")
if(BILENS_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "LibTorch ${BILENS_TORCH_VERSION} at ${BILENS_TORCH_ROOT}: 2.11 or newer is needed.")
endif()
message(STATUS "LibTorch ${BILENS_TORCH_VERSION}: ${BILENS_TORCH_ROOT}")

add_library(bilens_torch INTERFACE)
# Headers of LibTorch are not ours to mend: -isystem keeps their warnings out.
target_include_directories(bilens_torch SYSTEM INTERFACE
  "$<BUILD_INTERFACE:${BILENS_TORCH_ROOT}/include;${BILENS_TORCH_ROOT}/include/torch/csrc/api/include>")
set(libraries ${BILENS_TORCH_ROOT}/lib/libtorch_cpu.so ${BILENS_TORCH_ROOT}/lib/libc10.so)
if(BILENS_CUDA_ENABLED AND NOT EXISTS ${BILENS_TORCH_ROOT}/lib/libtorch_cuda.so)
  message(FATAL_ERROR "CUDA is on, but ${BILENS_TORCH_ROOT} is a CPU build: use BILENS_CUDA=OFF or another LibTorch.")
endif()
# The wheel's own dependencies (NCCL, cuDNN, ...) are found by it at run time, not by the linker.
target_link_libraries(bilens_torch INTERFACE "$<BUILD_INTERFACE:-Wl,--allow-shlib-undefined;${libraries}>")
if(NOT BILENS_WHEEL)
  target_link_options(bilens_torch INTERFACE $<BUILD_INTERFACE:-Wl,-rpath,${BILENS_TORCH_ROOT}/lib>)
endif()
