#define DPGEN_SIMD_BYTES 32
#define DPGEN_SIMD_ROWS 6
#define DPGEN_SIMD_COLUMNS 2
#define DPGEN_SIMD_NAMESPACE avx2
#include "native/simd_loops.h"

namespace dpgen::native {

template <typename Real> const Kernels<Real> *kernels_avx2()
{
  return &avx2::table<Real>("avx2");
}

template const Kernels<double> *kernels_avx2<double>();
template const Kernels<float> *kernels_avx2<float>();

}    // namespace dpgen::native
