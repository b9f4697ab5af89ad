#include "native/simd.h"

#include "errors.h"

#include <cstdlib>
#include <string>

namespace dpgen::native {

namespace {

bool has_avx512()
{
#ifdef DPGEN_SIMD_X86
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

bool has_avx2()
{
#ifdef DPGEN_SIMD_X86
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

template <typename Real> const Kernels<Real> &choose()
{
  const char *variable = std::getenv("DPGEN_SIMD");
  const std::string most = variable ? variable : "avx512";
  if (most != "avx512" && most != "avx2" && most != "portable")
    throw InputError("DPGEN_SIMD is '" + most + "'; it can be avx512, avx2 or portable");
#ifdef DPGEN_SIMD_X86
  if (most == "avx512" && has_avx512()) return *kernels_avx512<Real>();
  if (most != "portable" && has_avx2()) return *kernels_avx2<Real>();
#endif
  return *kernels_portable<Real>();
}

}    // namespace

template <> const Kernels<double> &kernels()
{
  static const Kernels<double> &best = choose<double>();
  return best;
}

template <> const Kernels<float> &kernels()
{
  static const Kernels<float> &best = choose<float>();
  return best;
}

}    // namespace dpgen::native
