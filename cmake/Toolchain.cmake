# Compiler cache, warnings and sanitizers, the same for every target of the project.

find_program(BILENS_CCACHE ccache)
if(BILENS_CCACHE)
  # Precompiled headers are cached only when ccache may ignore their time stamps.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${BILENS_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${BILENS_CCACHE})
endif()

add_library(bilens_options INTERFACE)
target_compile_features(bilens_options INTERFACE cxx_std_20)
target_compile_options(bilens_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # at::parallel_for runs on one thread in code that is compiled without. LibTorch's own libgomp is the one found.
  target_compile_options(bilens_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
  target_link_options(bilens_options INTERFACE -fopenmp)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms on std::string concatenation (GCC bug 105651, fixed in 13).
  target_compile_options(bilens_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-stringop-overflow;-Wno-array-bounds>)
endif()
if(BILENS_CCACHE AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(bilens_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()
# Where no loop over numbers runs, optimising takes most of the time of compiling and gains nothing: half the time.
set(BILENS_LITTLE_OPTIMISED $<$<CONFIG:Release>:-O1>)
if(BILENS_SANITIZE)
  set(BILENS_LITTLE_OPTIMISED -O0)
endif()
# Sources of a stage that are compiled together. A whole build takes a quarter less time than with 12; GCC takes 2 GB
# for a batch.
set(BILENS_BATCH 24)
if(BILENS_WERROR)
  target_compile_options(bilens_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(BILENS_SANITIZE)
  set(flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(bilens_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${flags}>)
  # The sanitizers' own branches make GCC warn of values that are never read uninitialised (see its manual).
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(bilens_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
  endif()
  # libtorch was built without sanitizers: type information of its classes is not comparable. What the address
  # sanitizer finds too takes a third of the time of compiling; alignment counts where files are read (see Stages).
  target_compile_options(bilens_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=vptr,null,object-size,alignment>)
  target_link_options(bilens_options INTERFACE -fsanitize=address,undefined)
endif()
if(BILENS_FUZZ)
  target_compile_options(bilens_options INTERFACE -fsanitize=fuzzer-no-link)  # coverage, which leads the fuzzer
endif()
