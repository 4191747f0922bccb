# libbilens_cuda.so: all *_cuda.cpp and *.cu, with LibTorch's CUDA library. tensor/cuda_library.cpp loads it when a GPU
# is first asked for, so nothing links it; it lies beside the programs of the build, and in lib/ of an installation.
target_link_libraries(bilens_tensor PUBLIC ${CMAKE_DL_LIBS})
target_link_options(bilens_tensor INTERFACE $<BUILD_INTERFACE:-Wl,-rpath,${PROJECT_BINARY_DIR}>)
if(NOT BILENS_CUDA_ENABLED)
  return()
endif()
file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*/*_cuda.cpp ${PROJECT_SOURCE_DIR}/src/*/*.cu)
add_library(bilens_cuda SHARED ${sources})
target_include_directories(bilens_cuda PRIVATE ${PROJECT_SOURCE_DIR}/include)
# Of the CUDA library the linker sees no use: it registers LibTorch's kernels when loaded.
target_link_libraries(bilens_cuda PRIVATE bilens_options bilens_torch CUDA::cudart
  -Wl,--no-as-needed ${BILENS_TORCH_ROOT}/lib/libtorch_cuda.so ${BILENS_TORCH_ROOT}/lib/libc10_cuda.so -Wl,--as-needed)
set_target_properties(bilens_cuda PROPERTIES INSTALL_RPATH ${BILENS_TORCH_ROOT}/lib)
add_dependencies(bilens_tensor bilens_cuda)
