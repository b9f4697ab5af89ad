# The inner loops of the native kernel once per instruction set; which one runs is decided by the processor.
set(loops -fno-math-errno -fno-trapping-math -fopenmp-simd -Wno-psabi)
if(CMAKE_BUILD_TYPE MATCHES "Rel")
  list(APPEND loops -O3)
else()
  list(APPEND loops -O1)    # without any, tests take minutes
endif()
set_source_files_properties(native/simd_portable.cpp PROPERTIES COMPILE_OPTIONS "${loops}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  target_sources(dpgen_core PRIVATE native/simd_avx2.cpp native/simd_avx512.cpp)
  target_compile_definitions(dpgen_core PRIVATE DPGEN_SIMD_X86)
  set_source_files_properties(native/simd_avx2.cpp PROPERTIES COMPILE_OPTIONS "${loops};-mavx2;-mfma")
  set_source_files_properties(native/simd_avx512.cpp PROPERTIES COMPILE_OPTIONS
    "${loops};-mavx512f;-mavx512dq;-mavx512vl;-mfma;-mprefer-vector-width=512")
endif()
