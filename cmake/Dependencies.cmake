# find_package first; else a release pinned by hash.
include(FetchContent)
set(BILENS_FETCHED "" CACHE INTERNAL "Dependencies that were fetched rather than found")

macro(bilens_dependency name url hash)
  find_package(${name} QUIET)
  if(${name}_FOUND)
    message(STATUS "${name}: found ${${name}_VERSION}")
  else()
    message(STATUS "${name}: fetching ${url}")
    FetchContent_Declare(${name} URL ${url} URL_HASH SHA256=${hash} DOWNLOAD_EXTRACT_TIMESTAMP ON SYSTEM
                         ${ARGN})
    FetchContent_MakeAvailable(${name})
    list(APPEND BILENS_FETCHED ${name})
  endif()
endmacro()

set(SPDLOG_BUILD_PIC ON)
bilens_dependency(nlohmann_json https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
  d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d)
bilens_dependency(spdlog https://github.com/gabime/spdlog/archive/refs/tags/v1.14.1.tar.gz
  1586508029a7d0670dfcb2d97575dcdc242d3868a259742b69f100801ab4e16b)
bilens_dependency(cxxopts https://github.com/jarro2783/cxxopts/archive/refs/tags/v3.2.0.tar.gz
  9f43fa972532e5df6c5fd5ad0f5bac606cdec541ccaf1732463d8070bbb7f03b)
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)  # its options may be set here
set(SPM_ENABLE_SHARED OFF)
# In Python's process the system's library would offer its protobuf to others, Python's own sentencepiece among them.
set(CMAKE_DISABLE_FIND_PACKAGE_SentencePiece ${BILENS_WHEEL})
set(SPM_ENABLE_TCMALLOC OFF)
bilens_dependency(SentencePiece https://files.pythonhosted.org/packages/15/15/2e7a025fc62d764b151ae6d0f2a92f8081755ebe8d4a64099accc6f77ba6/sentencepiece-0.2.1.tar.gz
  8138cec27c2f2282f4a34d9a016e3374cd40e5c6e9cb335063db66a0a3b71fad SOURCE_SUBDIR sentencepiece)
if(NOT TARGET SentencePiece::SentencePiece)
  add_library(bilens_sentencepiece INTERFACE)
  add_library(SentencePiece::SentencePiece ALIAS bilens_sentencepiece)
  target_link_libraries(bilens_sentencepiece INTERFACE sentencepiece_train-static sentencepiece-static)
  target_include_directories(bilens_sentencepiece SYSTEM INTERFACE ${sentencepiece_SOURCE_DIR}/sentencepiece/src)
  set_target_properties(sentencepiece_train-static sentencepiece-static PROPERTIES POSITION_INDEPENDENT_CODE ON)
  # LibTorch has a protobuf of its own: the one in these archives must not stand in for it.
  target_link_options(bilens_sentencepiece INTERFACE
    -Wl,--exclude-libs,libsentencepiece.a:libsentencepiece_train.a)
endif()
find_package(ZLIB REQUIRED)
# Not by find_package: Debian's libzip-config.cmake fails where libzip's programs are not installed.
find_library(BILENS_LIBZIP zip REQUIRED)
find_path(BILENS_LIBZIP_INCLUDE zip.h REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
# ICU. In the wheel as archives, for machines without it; their symbols are hidden from other ICUs in the process.
find_path(BILENS_ICU_INCLUDE unicode/uregex.h)
if(NOT BILENS_ICU_INCLUDE)
  message(FATAL_ERROR "ICU's headers are not there. Install libicu-dev (Debian's name), or run scripts/setup.sh.")
endif()
set(BILENS_ICU)
set(BILENS_ICU_HIDDEN)
foreach(library icui18n icuuc icudata)
  if(BILENS_WHEEL)
    find_library(BILENS_${library} NAMES lib${library}.a ${library} REQUIRED)
    list(APPEND BILENS_ICU_HIDDEN lib${library}.a)
  else()
    find_library(BILENS_${library} ${library} REQUIRED)
  endif()
  list(APPEND BILENS_ICU ${BILENS_${library}})
endforeach()
# Gloo's headers; LibTorch has the library.
find_path(BILENS_GLOO_INCLUDE gloo/context.h)
if(NOT BILENS_GLOO_INCLUDE)
  message(STATUS "Gloo: no headers (Debian's libgloo-dev), so several processes cannot train one model together")
endif()
if(BUILD_TESTING OR NOT DEFINED BUILD_TESTING)
  bilens_dependency(Catch2 https://github.com/catchorg/Catch2/archive/refs/tags/v3.4.0.zip
    cd175f5b7e62c29558d4c17d2b94325ee0ab6d0bf1a4b3d61bc8dbcc688ea3c2)
endif()
