// The inner loops of the native kernel, compiled once per instruction set and chosen when the program runs.
//
// Vector code is written with the vector types of GCC and Clang, which every instruction set has: a portable SIMD
// library would have to come from PyPI, like everything else that a build needs, and none is there.
#ifndef DPGEN_NATIVE_SIMD_H
#define DPGEN_NATIVE_SIMD_H

#include <cstddef>

namespace dpgen::native {

/// Rows of all matrices begin at multiples of this many bytes.
constexpr std::size_t row_bytes = 64;

template <typename Real> constexpr int padded(int n)
{
  constexpr int step = static_cast<int>(row_bytes / sizeof(Real));
  return (n + step - 1) / step * step;
}

/// Neighbours of one atom, one array each.
template <typename Real> struct Neighbors {
  int n = 0;
  Real *s = nullptr, *ds_dr = nullptr, *inverse_r = nullptr;    ///< 1/Å, 1/Å², 1/Å
  Real *direction[3] = {};                                      ///< unit vector from the centre to the neighbour
  int *first = nullptr;                                         ///< first basis function at s
  Real *basis = nullptr;                                        ///< [n][8], the functions there
  Real *basis_slope = nullptr;                                  ///< [n][8], their derivatives by s
};

/// Five rows on the spline grid: of s, of 1, and of s times the direction.
constexpr int n_moments = 5;

/// y = activation(z + bias) * idt + copies of x, in place of z, and its slope by z.
template <typename Real> struct LayerTask {
  int n_rows = 0, n_in = 0, n_out = 0;
  int activation = 0, copies = 0;
  const Real *bias = nullptr, *idt = nullptr, *x = nullptr;
  Real *z = nullptr, *slope = nullptr;    ///< rows of padded(n_out); those of x of padded(n_in)
};

/// Products of numbers a and c: row a has those with c from first(a) to n_columns, and the rows follow each other.
struct ProductRows {
  int n_rows = 0, n_columns = 0;    ///< the latter a multiple of 8
  bool each_pair_once = false;      ///< a row begins at the last multiple of 8 that is not beyond a

  int first(int a) const { return each_pair_once ? a / 8 * 8 : 0; }
  int size() const
  {
    int n = 0;
    for (int a = 0; a < n_rows; ++a) n += n_columns - first(a);
    return n;
  }
};

template <typename Real> struct Kernels {
  const char *name = "";
  int panel = 0;    ///< columns of a packed matrix that lie together

  /// Distances and switching function of displacements (Å), which become directions.
  void (*geometry)(Real cutoff, Real cutoff_smooth, const Neighbors<Real> &list) = nullptr;
  /// Basis functions of `list`, and their moments added to rows of length `stride`.
  void (*scatter)(Real inverse_step, int n_intervals, const Neighbors<Real> &list, Real *rows, int stride) = nullptr;
  /// From dE/d(moments) to dE/d(displacement), x y z, [n] each.
  void (*gather)(const Neighbors<Real> &list, const Real *rows, int stride, Real *const out[3]) = nullptr;
  /// c = a b or c += a b, with b packed by panels; a has rows of `stride_a`, c of `stride_c`.
  void (*multiply)(int n_rows, int n_columns, int n_inner, const Real *a, int stride_a, const Real *b, Real *c,
                   int stride_c, bool add) = nullptr;
  void (*layer)(const LayerTask<Real> &task) = nullptr;
  /// a *= b, `n` numbers.
  void (*scale)(int n, const Real *b, Real *a) = nullptr;
  /// Four normalised rows from the five moments: (of s - average * of 1) * factor, of directions * factor_xyz.
  void (*normalise)(int stride, Real average, Real factor, Real factor_xyz, const Real *moments, Real *rows) = nullptr;
  /// From dE/d(rows) to dE/d(moments).
  void (*normalise_back)(int stride, Real average, Real factor, Real factor_xyz, const Real *rows,
                         Real *moments) = nullptr;
  /// d = sums of products over the four rows of t, which are `stride` apart.
  void (*descriptor)(const ProductRows &products, int stride, const Real *t, Real *d) = nullptr;
  /// From dE/dd to dE/dt.
  void (*descriptor_back)(const ProductRows &products, int stride, const Real *t, const Real *dd, Real *dt) = nullptr;
};

/// The best that this processor has; $DPGEN_SIMD (avx512, avx2, portable) asks for less.
template <typename Real> const Kernels<Real> &kernels();

/// In the order of the names above; null where the compiler had no such instruction set.
template <typename Real> const Kernels<Real> *kernels_avx512();
template <typename Real> const Kernels<Real> *kernels_avx2();
template <typename Real> const Kernels<Real> *kernels_portable();

}    // namespace dpgen::native

#endif
