# One static library a folder of src/, named bilens::<stage>, linking only its row of layers.txt; and the program.
file(STRINGS ${PROJECT_SOURCE_DIR}/cmake/layers.txt rows REGEX "^[a-z]+:")
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS cmake/layers.txt)

# LibTorch's headers cost 13 s a file: precompiled once, shared by all stages that see tensors.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pch.cpp CONTENT "")  # left alone where it is there
function(bilens_precompile name)
  add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
  target_link_libraries(${name} PRIVATE bilens_options bilens_torch nlohmann_json::nlohmann_json)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_precompile_headers(${name} PRIVATE <ATen/ATen.h> <nlohmann/json.hpp>)
endfunction()
bilens_precompile(bilens_pch)
set(BILENS_LITTLE_PCH bilens_pch)  # for what is compiled with BILENS_LITTLE_OPTIMISED
if(BILENS_SANITIZE)  # GCC takes a precompiled header of -O1 or -O3 for either, but none for -O0
  set(BILENS_LITTLE_PCH bilens_pch_little)
  bilens_precompile(${BILENS_LITTLE_PCH})
  target_compile_options(${BILENS_LITTLE_PCH} PRIVATE ${BILENS_LITTLE_OPTIMISED})
endif()

list(FILTER rows EXCLUDE REGEX "^python:")  # a module, see Python
set(BILENS_STAGES)
foreach(row IN LISTS rows)
  string(REGEX MATCH "^([a-z]+): *(.*)$" _ "${row}")
  set(stage ${CMAKE_MATCH_1})
  string(REPLACE " " ";" below "${CMAKE_MATCH_2}")
  set(folder ${PROJECT_SOURCE_DIR}/src/${stage})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp ${folder}/*/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/src/${stage}/kernels/")  # see Simd
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_cuda\\.cpp$")  # see CudaLibrary
  add_library(bilens_${stage} STATIC ${sources})
  add_library(bilens::${stage} ALIAS bilens_${stage})
  list(TRANSFORM below PREPEND bilens_)
  target_compile_features(bilens_${stage} PUBLIC cxx_std_20)  # LibTorch's headers need it
  target_include_directories(bilens_${stage} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
    PRIVATE ${PROJECT_SOURCE_DIR}/src/${stage})  # headers of its own folders, as "eigen/lanczos.h"
  target_link_libraries(bilens_${stage} PUBLIC ${below} PRIVATE bilens_options)
  set_target_properties(bilens_${stage} PROPERTIES EXPORT_NAME ${stage} POSITION_INDEPENDENT_CODE ON)
  if(BILENS_UNITY)
    set_target_properties(bilens_${stage} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${BILENS_BATCH})
  endif()
  set(precompiled bilens_pch)
  if(stage MATCHES "^(records|report|run|cli)$")
    target_compile_options(bilens_${stage} PRIVATE ${BILENS_LITTLE_OPTIMISED})
    set(precompiled ${BILENS_LITTLE_PCH})
  endif()
  if(BILENS_SANITIZE AND stage MATCHES "^(io|data)$")
    target_compile_options(bilens_${stage} PRIVATE -fsanitize=alignment)
  endif()
  if(NOT stage STREQUAL core)
    target_precompile_headers(bilens_${stage} REUSE_FROM ${precompiled})
  endif()
  list(APPEND BILENS_STAGES bilens_${stage})
endforeach()

configure_file(${PROJECT_SOURCE_DIR}/cmake/version.cpp.in ${PROJECT_BINARY_DIR}/version.cpp @ONLY)
target_sources(bilens_core PRIVATE ${PROJECT_BINARY_DIR}/version.cpp)
target_link_libraries(bilens_core PUBLIC nlohmann_json::nlohmann_json PRIVATE spdlog::spdlog OpenSSL::Crypto)
target_link_libraries(bilens_tensor PUBLIC bilens_torch)
if(BILENS_GLOO_INCLUDE)
  target_compile_definitions(bilens_dist PRIVATE BILENS_GLOO)
  target_include_directories(bilens_dist SYSTEM PRIVATE ${BILENS_GLOO_INCLUDE})
endif()
target_link_libraries(bilens_io PRIVATE ZLIB::ZLIB ${BILENS_LIBZIP})
target_include_directories(bilens_io PRIVATE ${BILENS_LIBZIP_INCLUDE})
target_link_libraries(bilens_data PRIVATE SentencePiece::SentencePiece ${BILENS_ICU})
target_include_directories(bilens_data PRIVATE ${BILENS_ICU_INCLUDE})
if(BILENS_ICU_HIDDEN)
  list(JOIN BILENS_ICU_HIDDEN ":" hidden)
  target_link_options(bilens_data INTERFACE -Wl,--exclude-libs,${hidden})
endif()
target_link_libraries(bilens_cli PRIVATE cxxopts::cxxopts)
include(Simd)   # the CPU's inner loops in bilens_nn, for several instruction sets
include(Embed)  # src/report/page.{html,css,js} as strings in bilens_report
include(EmbedScript)  # scripts/make_reference.py as a string in bilens_run
include(CudaLibrary)  # what needs CUDA, loaded when a GPU is asked for

add_library(bilens_all INTERFACE)
target_link_libraries(bilens_all INTERFACE ${BILENS_STAGES})
set_target_properties(bilens_all PROPERTIES EXPORT_NAME bilens)
add_library(bilens::bilens ALIAS bilens_all)

add_executable(bilens_program ${PROJECT_SOURCE_DIR}/src/cli/main.cpp)
target_link_libraries(bilens_program PRIVATE bilens_cli bilens_options)
# libbilens_cuda.so is found beside it wherever the build is moved.
set_target_properties(bilens_program PROPERTIES OUTPUT_NAME bilens BUILD_RPATH "$ORIGIN")
