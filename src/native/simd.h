// The inner loops of the native kernel, compiled once per instruction set and chosen when the program runs.
//
// Vector code is written with the vector types of GCC and Clang, which every instruction set has: a portable SIMD
// library would have to come from PyPI, like everything else that a build needs, and none is there.
//
// Matrices of a block of atoms have one column per atom, so that a vector holds the same number of several atoms.
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

/// Per basis function: sums over neighbours of s, 1, and s times the direction, in a row of eight numbers.
constexpr int n_moments = 5, moment_row = 8;

/// Neighbours of one atom, one array each.
template <typename Real> struct Neighbors {
  int n = 0;
  Real *displacement[3] = {};                                   ///< Å, from the centre to the neighbour
  Real *s = nullptr, *ds_dr = nullptr, *inverse_r = nullptr;    ///< 1/Å, 1/Å², 1/Å
  Real *direction = nullptr;                                    ///< [n][4]: 0 and a unit vector
  Real *weights = nullptr;                                      ///< [n][8]: s, 1, s times the direction, zeros
  int *first = nullptr;                                         ///< first basis function at s
  Real *basis = nullptr;                                        ///< [n][8], the functions there
  Real *basis_slope = nullptr;                                  ///< [n][8], their derivatives by s
  const int *atoms = nullptr;                                   ///< whose forces are theirs
};

/// y = activation(z + bias) * idt + copies of x, in place of z, and its slope by z. Rows are numbers, columns atoms.
template <typename Real> struct LayerTask {
  int n_columns = 0, n_in = 0, n_out = 0;
  int activation = 0, copies = 0;
  const Real *bias = nullptr, *idt = nullptr, *x = nullptr;
  Real *z = nullptr, *slope = nullptr;
};

/// Products of numbers a (from 0 to n_rows) and c (to n_columns); with `each_pair_once` only those with c >= a.
struct Products {
  int n_rows = 0, n_columns = 0;
  bool each_pair_once = false;

  int first(int a) const { return each_pair_once ? a : 0; }
  int size() const { return each_pair_once ? n_rows * (n_rows + 1) / 2 : n_rows * n_columns; }
};

/// From dE/d(moments) of up to four models to forces.
///
/// A row on the spline grid has four numbers per model: of s, and of s times the direction. `average` is 0 but for the
/// first of each four: what takes the place of s in dE/ds there. Forces have four numbers per model and atom, of which
/// the first means nothing. `pairs` may be null, else gets what each neighbour adds to the force of the centre.
template <typename Real> struct GatherTask {
  const Real *rows = nullptr, *average = nullptr;
  Real *centre = nullptr, *forces = nullptr, *pairs = nullptr;
};

template <typename Real> struct Kernels {
  const char *name = "";

  /// Distances and switching function of displacements.
  void (*geometry)(Real cutoff, Real cutoff_smooth, const Neighbors<Real> &list) = nullptr;
  /// Basis functions of `list`, and their moments added to `rows`.
  void (*scatter)(Real inverse_step, int n_intervals, const Neighbors<Real> &list, Real *rows) = nullptr;
  /// For 1, 2 or 4 models.
  void (*gather)(int n_models, const Neighbors<Real> &list, const GatherTask<Real> &task) = nullptr;
  /// out[n][5][n_columns] from moments[n_columns][n][8].
  void (*moments_to_columns)(int n, int n_columns, const Real *moments, Real *out) = nullptr;
  /// out[8][n] from eight columns of in[n][n_columns]; n is a multiple of 8.
  void (*columns_to_rows)(int n, int n_columns, const Real *in, Real *out) = nullptr;
  /// c = a b or c += a b.
  void (*multiply)(int n_rows, int n_columns, int n_inner, const Real *a, int stride_a, const Real *b, int stride_b,
                   Real *c, int stride_c, bool add) = nullptr;
  void (*layer)(const LayerTask<Real> &task) = nullptr;
  /// a *= b, `n` numbers.
  void (*scale)(std::size_t n, const Real *b, Real *a) = nullptr;
  /// Four normalised rows from the five of the moments: (of s - average * of 1) * factor, of directions * factor_xyz.
  void (*normalise)(int width, int n_columns, Real average, Real factor, Real factor_xyz, const Real *five,
                    Real *four) = nullptr;
  /// Multiplies by the two factors.
  void (*normalise_back)(int width, int n_columns, Real factor, Real factor_xyz, Real *four) = nullptr;
  /// d = sums of products over the four rows of t[width][4][n_columns].
  void (*descriptor)(const Products &products, int n_columns, const Real *t, Real *d) = nullptr;
  /// From dE/dd to dE/dt.
  void (*descriptor_back)(const Products &products, int n_columns, const Real *t, const Real *dd, Real *dt) = nullptr;
};

/// The best that this processor has; $DPGEN_SIMD (avx512, avx2, portable) asks for less.
template <typename Real> const Kernels<Real> &kernels();

/// In the order of the names above; null where the compiler had no such instruction set.
template <typename Real> const Kernels<Real> *kernels_avx512();
template <typename Real> const Kernels<Real> *kernels_avx2();
template <typename Real> const Kernels<Real> *kernels_portable();

}    // namespace dpgen::native

#endif
