#define DPGEN_SIMD_BYTES 16
#define DPGEN_SIMD_ROWS 4
#define DPGEN_SIMD_COLUMNS 2
#define DPGEN_SIMD_NAMESPACE portable
#include "native/simd_loops.h"

namespace dpgen::native {

template <typename Real> const Kernels<Real> *kernels_portable()
{
  return &portable::table<Real>("portable");
}

template const Kernels<double> *kernels_portable<double>();
template const Kernels<float> *kernels_portable<float>();

}    // namespace dpgen::native
