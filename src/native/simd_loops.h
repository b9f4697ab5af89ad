// Included by one source file per instruction set, which defines DPGEN_SIMD_BYTES (length of a vector), DPGEN_SIMD_ROWS
// and DPGEN_SIMD_COLUMNS (rows, and vectors of columns, of a block in a product) and DPGEN_SIMD_NAMESPACE. Nothing of
// the standard library is used here: its inline functions would be compiled with these instructions, and the linker may
// take them for all.
#include "native/simd.h"
#include "native/spline_polynomials.h"

namespace dpgen::native::DPGEN_SIMD_NAMESPACE {

namespace {

#include "native/simd_vectors.h"

// ---- neighbours
// -------------------------------------------------------------------------------------------------------

template <typename Real> void geometry(Real cutoff, Real cutoff_smooth, const Neighbors<Real> &list)
{
  Real *x = list.displacement[0], *y = list.displacement[1], *z = list.displacement[2];
  Real *s = list.s, *slope = list.ds_dr, *inverse = list.inverse_r;
  const Real width = 1 / (cutoff - cutoff_smooth);
#pragma omp simd
  for (int k = 0; k < list.n; ++k) {
    const Real r = root(x[k] * x[k] + y[k] * y[k] + z[k] * z[k]), inv = 1 / r;
    Real u = (r - cutoff_smooth) * width;
    u = u < 0 ? 0 : u;
    const Real w = u * u * u * (u * (15 - 6 * u) - 10) + 1, dw = -30 * u * u * (1 - u) * (1 - u) * width;
    s[k] = w * inv;
    slope[k] = (dw - w * inv) * inv;
    inverse[k] = inv;
  }
  for (int k = 0; k < list.n; ++k) {
    const Real inv = inverse[k], ux = x[k] * inv, uy = y[k] * inv, uz = z[k] * inv;
    Real *direction = list.direction + 4 * k, *weights = list.weights + 8 * k;
    direction[0] = 0;
    direction[1] = ux;
    direction[2] = uy;
    direction[3] = uz;
    weights[0] = s[k];
    weights[1] = 1;
    weights[2] = s[k] * ux;
    weights[3] = s[k] * uy;
    weights[4] = s[k] * uz;
    weights[5] = weights[6] = weights[7] = 0;
  }
}

template <typename Real> void scatter(Real inverse_step, int n_intervals, const Neighbors<Real> &list, Real *rows)
{
  using E = Eight<Real>;
  E power[spline_order];
  for (int p = 0; p < spline_order; ++p)
    for (int k = 0; k < spline_order; ++k) power[p][k] = static_cast<Real>(polynomials.power[p][k]);
  for (int j = 0; j < list.n; ++j) {
    const Real u = list.s[j] * inverse_step;
    // NaN fails every comparison and stays in t, which hands it on.
    const int first = u < n_intervals ? static_cast<int>(u) : n_intervals - 1;
    const Real t = u - first;
    E b = power[7], slope = static_cast<Real>(7) * power[7];
    for (int p = 6; p >= 1; --p) {
      b = b * t + power[p];
      slope = slope * t + static_cast<Real>(p) * power[p];
    }
    b = b * t + power[0];
    list.first[j] = first;
    store(list.basis + 8 * j, b);
    store(list.basis_slope + 8 * j, slope * inverse_step);
  }
  for (int j = 0; j < list.n; ++j) {
    const E weights = load<E>(list.weights + 8 * j);
    const Real *b = list.basis + 8 * j;
    Real *row = rows + moment_row * list.first[j];
    for (int k = 0; k < spline_order; ++k, row += moment_row) store(row, load<E>(row) + b[k] * weights);
  }
}

template <typename Real, int n_models> void gather_of(const Neighbors<Real> &list, const GatherTask<Real> &task)
{
  constexpr int stride = 4 * n_models;
  constexpr int at_most = stride * sizeof(Real) < DPGEN_SIMD_BYTES ? stride * sizeof(Real) : DPGEN_SIMD_BYTES;
  constexpr int bytes = at_most < 4 * sizeof(Real) ? 4 * sizeof(Real) : at_most;
  constexpr int wide = bytes / sizeof(Real), n = stride / wide;
  using V = typename Sized<Real, bytes>::type;
  V of_s{}, average[n], centre[n];
  for (int k = 0; k < wide; k += 4) of_s[k] = 1;
  for (int v = 0; v < n; ++v) {
    average[v] = load<V>(task.average + v * wide);
    centre[v] = load<V>(task.centre + v * wide);
  }
  for (int j = 0; j < list.n; ++j) {
    const Real *row = task.rows + stride * list.first[j], *basis = list.basis + 8 * j,
               *slope = list.basis_slope + 8 * j;
    V value[n] = {}, derivative[n] = {};
    for (int k = 0; k < spline_order; ++k)
      for (int v = 0; v < n; ++v) {
        const V g = load<V>(row + k * stride + v * wide);
        value[v] += basis[k] * g;
        derivative[v] += slope[k] * g;
      }
    const Real s = list.s[j], ds_dr = list.ds_dr[j], scale = s * list.inverse_r[j];
    const V direction = repeat<V, wide>(load<Four<Real>>(list.direction + 4 * j)), all = direction + of_s;
    Real *force = task.forces + static_cast<std::size_t>(stride) * list.atoms[j];
    for (int v = 0; v < n; ++v) {
      const V across = scale * value[v];
      const V along = ds_dr * (all * (value[v] + (s - average[v]) * derivative[v])) - direction * across;
      const V pair = sum_of_fours<V, wide>(along) * direction + across;
      centre[v] += pair;
      store(force + v * wide, load<V>(force + v * wide) - pair);
      if (task.pairs) store(task.pairs + j * stride + v * wide, pair);
    }
  }
  for (int v = 0; v < n; ++v) store(task.centre + v * wide, centre[v]);
}

template <typename Real> void gather(int n_models, const Neighbors<Real> &list, const GatherTask<Real> &task)
{
  if (n_models == 4) gather_of<Real, 4>(list, task);
  else if (n_models == 2) gather_of<Real, 2>(list, task);
  else gather_of<Real, 1>(list, task);
}

template <typename Real> void moments_to_columns(int n, int n_columns, const Real *moments, Real *out)
{
  using E = Eight<Real>;
  const std::size_t of_atom = static_cast<std::size_t>(n) * moment_row;
  for (int column = 0; column < n_columns; column += 8)
    for (int k = 0; k < n; ++k) {
      E rows[8];
      for (int i = 0; i < 8; ++i) rows[i] = load<E>(moments + (column + i) * of_atom + k * moment_row);
      transpose(rows);
      for (int q = 0; q < n_moments; ++q)
        store(out + static_cast<std::size_t>(k * n_moments + q) * n_columns + column, rows[q]);
    }
}

template <typename Real> void columns_to_rows(int n, int n_columns, const Real *in, Real *out)
{
  using E = Eight<Real>;
  for (int k = 0; k < n; k += 8) {
    E rows[8];
    for (int i = 0; i < 8; ++i) rows[i] = load<E>(in + static_cast<std::size_t>(k + i) * n_columns);
    transpose(rows);
    for (int i = 0; i < 8; ++i) store(out + static_cast<std::size_t>(i) * n + k, rows[i]);
  }
}

// ---- products
// --------------------------------------------------------------------------------------------------------

template <typename Real, int n_rows, int n_wide> DPGEN_INLINE void
multiply_block(int n_inner, const Real *a, int stride_a, const Real *b, int stride_b, Real *c, int stride_c, bool add)
{
  using V = Vector<Real>;
  V sums[n_rows][n_wide];
  for (int i = 0; i < n_rows; ++i)
    for (int w = 0; w < n_wide; ++w) sums[i][w] = add ? load<V>(c + i * stride_c + w * lanes<Real>) : V{};
  for (int k = 0; k < n_inner; ++k, b += stride_b) {
    V right[n_wide];
    for (int w = 0; w < n_wide; ++w) right[w] = load<V>(b + w * lanes<Real>);
    for (int i = 0; i < n_rows; ++i)
      for (int w = 0; w < n_wide; ++w) sums[i][w] += a[i * stride_a + k] * right[w];
  }
  for (int i = 0; i < n_rows; ++i)
    for (int w = 0; w < n_wide; ++w) store(c + i * stride_c + w * lanes<Real>, sums[i][w]);
}

template <typename Real, int n_rows, int n_wide> void multiply_rows(int rows, int n_inner, const Real *a, int stride_a,
                                                                    const Real *b, int stride_b, Real *c, int stride_c,
                                                                    bool add)
{
  for (; rows >= n_rows; rows -= n_rows, a += n_rows * stride_a, c += n_rows * stride_c)
    multiply_block<Real, n_rows, n_wide>(n_inner, a, stride_a, b, stride_b, c, stride_c, add);
  if constexpr (n_rows > 1)
    if (rows > 0)
      multiply_rows<Real, (n_rows > 4 ? 4 : n_rows - 1), n_wide>(rows, n_inner, a, stride_a, b, stride_b, c, stride_c,
                                                                 add);
}

// Part of the right factor, `n_wide` vectors of columns.
template <typename Real, int n_wide> void multiply_columns(int n_rows, int n_inner, const Real *a, int stride_a,
                                                           const Real *b, int stride_b, Real *c, int stride_c, bool add)
{
  // What all rows pass stays in the first-level cache.
  constexpr int slice = 20000 / (n_wide * DPGEN_SIMD_BYTES);
  constexpr int n_block = n_wide == 1 ? 2 * DPGEN_SIMD_ROWS : DPGEN_SIMD_ROWS * DPGEN_SIMD_COLUMNS / n_wide;
  for (int k = 0; k < n_inner; k += slice)
    multiply_rows<Real, n_block, n_wide>(n_rows, n_inner - k < slice ? n_inner - k : slice, a + k, stride_a,
                                         b + static_cast<std::size_t>(k) * stride_b, stride_b, c, stride_c,
                                         add || k > 0);
}

template <typename Real> void multiply(int n_rows, int n_columns, int n_inner, const Real *a, int stride_a,
                                       const Real *b, int stride_b, Real *c, int stride_c, bool add)
{
  constexpr int most = DPGEN_SIMD_COLUMNS;
  int wide = n_columns / lanes<Real>;
  const auto next = [&](int n) {
    wide -= n;
    b += n * lanes<Real>;
    c += n * lanes<Real>;
  };
  for (; wide >= most; next(most))
    multiply_columns<Real, most>(n_rows, n_inner, a, stride_a, b, stride_b, c, stride_c, add);
  if constexpr (most > 2)
    if (wide == 3) {
      multiply_columns<Real, 3>(n_rows, n_inner, a, stride_a, b, stride_b, c, stride_c, add);
      return;
    }
  if constexpr (most > 2)
    if (wide == 2) {
      multiply_columns<Real, 2>(n_rows, n_inner, a, stride_a, b, stride_b, c, stride_c, add);
      return;
    }
  if (wide == 1) multiply_columns<Real, 1>(n_rows, n_inner, a, stride_a, b, stride_b, c, stride_c, add);
}

// ---- activation functions
// --------------------------------------------------------------------------------------------

template <typename Real> struct Exponential;
template <> struct Exponential<double> {
  static constexpr int mantissa = 52, degree = 11;
  static constexpr double round = 6755399441055744.0, ln2_high = 0.693147180369123816490,
                          ln2_low = 1.90821492927058770002e-10;
  static constexpr double least = -40.0;
};
template <> struct Exponential<float> {
  static constexpr int mantissa = 23, degree = 6;
  static constexpr float round = 12582912.0f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float least = -40.0f;
};

// exp(x) for x <= 0; below -40 it is taken as exp(-40). The sum with `round` holds the nearest integer in its last
// bits.
template <typename Real> DPGEN_INLINE Vector<Real> exponential(Vector<Real> x)
{
  using V = Vector<Real>;
  using Bits = typename Wide<Real>::bits;
  using E = Exponential<Real>;
  x = x < E::least ? V{} + E::least : x;
  const V rounded = x * static_cast<Real>(1.44269504088896340736) + E::round;
  const V n = rounded - E::round;
  const V r = (x - n * E::ln2_high) - n * E::ln2_low;
  Real factorial[E::degree + 1] = {1};
  for (int k = 1; k <= E::degree; ++k) factorial[k] = factorial[k - 1] * k;
  V sum = V{} + 1 / factorial[E::degree];
  for (int k = E::degree - 1; k >= 0; --k) sum = sum * r + 1 / factorial[k];
  const V one = V{} + 1;
  return sum * (V)(((Bits)rounded << E::mantissa) + (Bits)one);
}

template <typename Real> DPGEN_INLINE Vector<Real> hyperbolic_tangent(Vector<Real> x)
{
  using V = Vector<Real>;
  const V size = x < 0 ? -x : x;
  const V e = exponential<Real>(-2 * size), t = (1 - e) / (1 + e);
  const V result = x < 0 ? -t : t;
  return x == x ? result : x;
}

// Value of an activation function at z, whose slope takes its place.
template <typename Real, int activation> DPGEN_INLINE Vector<Real> activate(Vector<Real> &z)
{
  using V = Vector<Real>;
  if constexpr (activation == 1) {
    const V t = hyperbolic_tangent<Real>(z);
    z = 1 - t * t;
    return t;
  } else if constexpr (activation == 2) {
    const Real root = static_cast<Real>(0.79788456080286535588), cubic = static_cast<Real>(0.044715);
    const V x = z, t = hyperbolic_tangent<Real>(root * (x + cubic * x * x * x)),
            half = static_cast<Real>(0.5) * (1 + t);
    z = half + static_cast<Real>(0.5) * x * (1 - t * t) * (root * (1 + 3 * cubic * x * x));
    return x * half;
  } else if constexpr (activation == 3 || activation == 4) {
    const Real half = static_cast<Real>(0.5);
    const V x = z, s = half + half * hyperbolic_tangent<Real>(half * x), ds = s * (1 - s);
    z = activation == 3 ? ds : s + x * ds;
    return activation == 3 ? s : x * s;
  } else {
    const V x = z;
    z = V{} + 1;
    return x;
  }
}

template <typename Real, int activation> void layer_of(const LayerTask<Real> &task)
{
  using V = Vector<Real>;
  const int n = task.n_columns;
  for (int o = 0; o < task.n_out; ++o) {
    Real *y = task.z + static_cast<std::size_t>(o) * n, *slope = task.slope + static_cast<std::size_t>(o) * n;
    const Real bias = task.bias[o], idt = task.idt[o];
    const Real *x = o < task.copies * task.n_in ? task.x + static_cast<std::size_t>(o % task.n_in) * n : nullptr;
    for (int c = 0; c < n; c += lanes<Real>) {
      V z = load<V>(y + c) + bias;
      V value = activate<Real, activation>(z) * idt;
      if (x) value += load<V>(x + c);
      store(y + c, value);
      store(slope + c, z * idt);
    }
  }
}

template <typename Real> void layer(const LayerTask<Real> &task)
{
  switch (task.activation) {
    case 1: return layer_of<Real, 1>(task);
    case 2: return layer_of<Real, 2>(task);
    case 3: return layer_of<Real, 3>(task);
    case 4: return layer_of<Real, 4>(task);
    default: return layer_of<Real, 0>(task);
  }
}

template <typename Real> void scale(std::size_t n, const Real *b, Real *a)
{
  using V = Vector<Real>;
  for (std::size_t k = 0; k < n; k += lanes<Real>) store(a + k, load<V>(a + k) * load<V>(b + k));
}

// ---- descriptor
// ------------------------------------------------------------------------------------------------------

template <typename Real>
void normalise(int width, int n_columns, Real average, Real factor, Real factor_xyz, const Real *five, Real *four)
{
  using V = Vector<Real>;
  for (int r = 0; r < width; ++r, five += n_moments * n_columns, four += 4 * n_columns)
    for (int c = 0; c < n_columns; c += lanes<Real>) {
      store(four + c, factor * (load<V>(five + c) - average * load<V>(five + n_columns + c)));
      for (int q = 1; q < 4; ++q) store(four + q * n_columns + c, factor_xyz * load<V>(five + (q + 1) * n_columns + c));
    }
}

template <typename Real> void normalise_back(int width, int n_columns, Real factor, Real factor_xyz, Real *four)
{
  using V = Vector<Real>;
  for (int row = 0; row < 4 * width; ++row, four += n_columns)
    for (int c = 0; c < n_columns; c += lanes<Real>)
      store(four + c, load<V>(four + c) * (row % 4 == 0 ? factor : factor_xyz));
}

template <typename Real> void descriptor(const Products &products, int n_columns, const Real *t, Real *d)
{
  using V = Vector<Real>;
  for (int a = 0; a < products.n_rows; ++a) {
    const int first = products.first(a);
    for (int column = 0; column < n_columns; column += lanes<Real>) {
      V left[4];
      for (int q = 0; q < 4; ++q) left[q] = load<V>(t + static_cast<std::size_t>(4 * a + q) * n_columns + column);
      Real *to = d + column;
      for (int c = first; c < products.n_columns; ++c, to += n_columns) {
        const Real *right = t + static_cast<std::size_t>(4 * c) * n_columns + column;
        V sum = left[0] * load<V>(right);
        for (int q = 1; q < 4; ++q) sum += left[q] * load<V>(right + q * n_columns);
        store(to, sum);
      }
    }
    d += static_cast<std::size_t>(products.n_columns - first) * n_columns;
  }
}

template <typename Real>
void descriptor_back(const Products &products, int n_columns, const Real *t, const Real *dd, Real *dt)
{
  using V = Vector<Real>;
  for (int k = 0; k < 4 * products.n_columns * n_columns; k += lanes<Real>) store(dt + k, V{});
  for (int a = 0; a < products.n_rows; ++a) {
    const int first = products.first(a);
    for (int column = 0; column < n_columns; column += lanes<Real>) {
      Real *of_left = dt + static_cast<std::size_t>(4 * a) * n_columns + column;
      V left[4], sums[4] = {};
      for (int q = 0; q < 4; ++q) left[q] = load<V>(t + static_cast<std::size_t>(4 * a + q) * n_columns + column);
      const Real *from = dd + column;
      for (int c = first; c < products.n_columns; ++c, from += n_columns) {
        const V g = load<V>(from);
        const std::size_t at = static_cast<std::size_t>(4 * c) * n_columns + column;
        for (int q = 0; q < 4; ++q) {
          Real *of_right = dt + at + q * n_columns;
          sums[q] += g * load<V>(t + at + q * n_columns);
          store(of_right, load<V>(of_right) + g * left[q]);
        }
      }
      for (int q = 0; q < 4; ++q) store(of_left + q * n_columns, load<V>(of_left + q * n_columns) + sums[q]);
    }
    dd += static_cast<std::size_t>(products.n_columns - first) * n_columns;
  }
}

template <typename Real> const Kernels<Real> &table(const char *name)
{
  static const Kernels<Real> all = {name,
                                    geometry<Real>,
                                    scatter<Real>,
                                    gather<Real>,
                                    moments_to_columns<Real>,
                                    columns_to_rows<Real>,
                                    multiply<Real>,
                                    layer<Real>,
                                    scale<Real>,
                                    normalise<Real>,
                                    normalise_back<Real>,
                                    descriptor<Real>,
                                    descriptor_back<Real>};
  return all;
}

}    // namespace

}    // namespace dpgen::native::DPGEN_SIMD_NAMESPACE
