#define DPGEN_SIMD_BYTES 64
#define DPGEN_SIMD_ROWS 6
#define DPGEN_SIMD_COLUMNS 4
#define DPGEN_SIMD_NAMESPACE avx512
#include "native/simd_loops.h"

namespace dpgen::native {

template <typename Real> const Kernels<Real> *kernels_avx512()
{
  return &avx512::table<Real>("avx512");
}

template const Kernels<double> *kernels_avx512<double>();
template const Kernels<float> *kernels_avx512<float>();

}    // namespace dpgen::native
