// Included by one source file per instruction set, which defines DPGEN_SIMD_BYTES (length of a vector), DPGEN_SIMD_ROWS
// (rows of a block in a product) and DPGEN_SIMD_NAMESPACE. Nothing of the standard library is used here: its inline
// functions would be compiled with these instructions, and the linker may take them for all.
#include "native/simd.h"
#include "native/spline_polynomials.h"

namespace dpgen::native::DPGEN_SIMD_NAMESPACE {

namespace {

#define DPGEN_INLINE inline __attribute__((always_inline))

template <typename Real> struct Wide;
template <> struct Wide<double> {
  typedef double type __attribute__((vector_size(DPGEN_SIMD_BYTES)));
  typedef long long bits __attribute__((vector_size(DPGEN_SIMD_BYTES)));
  typedef double eight __attribute__((vector_size(64)));
};
template <> struct Wide<float> {
  typedef float type __attribute__((vector_size(DPGEN_SIMD_BYTES)));
  typedef int bits __attribute__((vector_size(DPGEN_SIMD_BYTES)));
  typedef float eight __attribute__((vector_size(32)));
};

template <typename Real> using Vector = typename Wide<Real>::type;
template <typename Real> using Eight = typename Wide<Real>::eight;
template <typename Real> constexpr int lanes = DPGEN_SIMD_BYTES / sizeof(Real);

template <typename V, typename Real> DPGEN_INLINE V load(const Real *from)
{
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}

template <typename V, typename Real> DPGEN_INLINE void store(Real *to, V v)
{
  __builtin_memcpy(to, &v, sizeof(V));
}

template <typename Real> DPGEN_INLINE Real sum(Eight<Real> v)
{
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

DPGEN_INLINE double root(double x)
{
  return __builtin_sqrt(x);
}
DPGEN_INLINE float root(float x)
{
  return __builtin_sqrtf(x);
}

// ---- geometry and splines
// --------------------------------------------------------------------------------------------

template <typename Real> void geometry(Real cutoff, Real cutoff_smooth, const Neighbors<Real> &list)
{
  Real *x = list.direction[0], *y = list.direction[1], *z = list.direction[2];
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
    x[k] *= inv;
    y[k] *= inv;
    z[k] *= inv;
  }
}

template <typename Real>
void scatter(Real inverse_step, int n_intervals, const Neighbors<Real> &list, Real *rows, int stride)
{
  using E = Eight<Real>;
  E power[spline_order];
  for (int p = 0; p < spline_order; ++p)
    for (int k = 0; k < spline_order; ++k) power[p][k] = static_cast<Real>(polynomials.power[p][k]);
  for (int j = 0; j < list.n; ++j) {
    const Real s = list.s[j], u = s * inverse_step;
    // NaN fails every comparison and stays in t, which hands it on.
    const int first = u < n_intervals ? static_cast<int>(u) : n_intervals - 1;
    const Real t = u - first;
    E b = power[7], slope = static_cast<Real>(7) * power[7];
    for (int p = 6; p >= 1; --p) {
      b = b * t + power[p];
      slope = slope * t + static_cast<Real>(p) * power[p];
    }
    b = b * t + power[0];
    slope *= inverse_step;
    list.first[j] = first;
    store(list.basis + 8 * j, b);
    store(list.basis_slope + 8 * j, slope);
    Real *row = rows + first;
    const Real weight[n_moments] = {s, 1, s * list.direction[0][j], s * list.direction[1][j], s * list.direction[2][j]};
    for (int q = 0; q < n_moments; ++q) store(row + q * stride, load<E>(row + q * stride) + weight[q] * b);
  }
}

template <typename Real> void gather(const Neighbors<Real> &list, const Real *rows, int stride, Real *const out[3])
{
  using E = Eight<Real>;
  for (int j = 0; j < list.n; ++j) {
    const E b = load<E>(list.basis + 8 * j), slope = load<E>(list.basis_slope + 8 * j);
    const Real *row = rows + list.first[j];
    const Real s = list.s[j], x = list.direction[0][j], y = list.direction[1][j], z = list.direction[2][j];
    const E gx = load<E>(row + 2 * stride), gy = load<E>(row + 3 * stride), gz = load<E>(row + 4 * stride);
    const E of_s = load<E>(row) + x * gx + y * gy + z * gz;
    const Real de_ds = sum<Real>(of_s * (b + s * slope) + load<E>(row + stride) * slope);
    const Real tx = s * sum<Real>(gx * b), ty = s * sum<Real>(gy * b), tz = s * sum<Real>(gz * b);
    const Real inv = list.inverse_r[j], along = list.ds_dr[j] * de_ds - (tx * x + ty * y + tz * z) * inv;
    out[0][j] = along * x + tx * inv;
    out[1][j] = along * y + ty * inv;
    out[2][j] = along * z + tz * inv;
  }
}

template <typename Real>
void normalise(int stride, Real average, Real factor, Real factor_xyz, const Real *moments, Real *rows)
{
  using V = Vector<Real>;
  for (int c = 0; c < stride; c += lanes<Real>) {
    store(rows + c, factor * (load<V>(moments + c) - average * load<V>(moments + stride + c)));
    for (int q = 1; q < 4; ++q) store(rows + q * stride + c, factor_xyz * load<V>(moments + (q + 1) * stride + c));
  }
}

template <typename Real>
void normalise_back(int stride, Real average, Real factor, Real factor_xyz, const Real *rows, Real *moments)
{
  using V = Vector<Real>;
  for (int c = 0; c < stride; c += lanes<Real>) {
    const V of_s = factor * load<V>(rows + c);
    store(moments + c, of_s);
    store(moments + stride + c, -average * of_s);
    for (int q = 1; q < 4; ++q) store(moments + (q + 1) * stride + c, factor_xyz * load<V>(rows + q * stride + c));
  }
}

// ---- products
// --------------------------------------------------------------------------------------------------------

template <typename Real, int n_rows, int n_wide> DPGEN_INLINE void
multiply_block(int n_inner, const Real *a, int stride_a, const Real *b, Real *c, int stride_c, bool add)
{
  using V = Vector<Real>;
  V sums[n_rows][n_wide];
  for (int i = 0; i < n_rows; ++i)
    for (int w = 0; w < n_wide; ++w) sums[i][w] = add ? load<V>(c + i * stride_c + w * lanes<Real>) : V{};
  for (int k = 0; k < n_inner; ++k) {
    V right[n_wide];
    for (int w = 0; w < n_wide; ++w) right[w] = load<V>(b + (k * n_wide + w) * lanes<Real>);
    for (int i = 0; i < n_rows; ++i)
      for (int w = 0; w < n_wide; ++w) sums[i][w] += a[i * stride_a + k] * right[w];
  }
  for (int i = 0; i < n_rows; ++i)
    for (int w = 0; w < n_wide; ++w) store(c + i * stride_c + w * lanes<Real>, sums[i][w]);
}

template <typename Real, int n_rows, int n_wide>
void multiply_rows(int rows, int n_inner, const Real *a, int stride_a, const Real *b, Real *c, int stride_c, bool add)
{
  for (; rows >= n_rows; rows -= n_rows, a += n_rows * stride_a, c += n_rows * stride_c)
    multiply_block<Real, n_rows, n_wide>(n_inner, a, stride_a, b, c, stride_c, add);
  if constexpr (n_rows > 1)
    if (rows > 0) multiply_rows<Real, n_rows / 2, n_wide>(rows, n_inner, a, stride_a, b, c, stride_c, add);
}

// A slice of a panel stays in the first-level cache while all rows pass it.
constexpr int inner_slice = 192;

template <typename Real> void multiply(int n_rows, int n_columns, int n_inner, const Real *a, int stride_a,
                                       const Real *b, Real *c, int stride_c, bool add)
{
  constexpr int panel = 2 * lanes<Real>;
  for (int column = 0; column < n_columns; column += panel) {
    const bool narrow = n_columns - column <= lanes<Real>;
    const Real *slice = b + static_cast<long>(column) * n_inner;
    for (int k = 0; k < n_inner; k += inner_slice) {
      const int n = n_inner - k < inner_slice ? n_inner - k : inner_slice;
      if (narrow)
        multiply_rows<Real, DPGEN_SIMD_ROWS, 1>(n_rows, n, a + k, stride_a, slice + k * lanes<Real>, c + column,
                                                stride_c, add || k > 0);
      else
        multiply_rows<Real, DPGEN_SIMD_ROWS, 2>(n_rows, n, a + k, stride_a, slice + k * panel, c + column, stride_c,
                                                add || k > 0);
    }
  }
}

// ---- activation functions
// --------------------------------------------------------------------------------------------

template <typename Real> struct Exponential;
template <> struct Exponential<double> {
  static constexpr int mantissa = 52, degree = 12;
  static constexpr double round = 6755399441055744.0, ln2_high = 0.693147180369123816490,
                          ln2_low = 1.90821492927058770002e-10;
  static constexpr double least = -40.0;
};
template <> struct Exponential<float> {
  static constexpr int mantissa = 23, degree = 7;
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
  const int stride = padded<Real>(task.n_out), stride_x = padded<Real>(task.n_in);
  for (int row = 0; row < task.n_rows; ++row) {
    Real *y = task.z + row * stride, *slope = task.slope + row * stride;
    const Real *x = task.x + row * stride_x;
    for (int c = 0; c < stride; c += lanes<Real>) {
      V z = load<V>(y + c) + load<V>(task.bias + c);
      const V idt = load<V>(task.idt + c), value = activate<Real, activation>(z);
      store(y + c, value * idt);
      store(slope + c, z * idt);
    }
    for (int copy = 0; copy < task.copies; ++copy)
      for (int c = 0; c < task.n_in; ++c) y[copy * task.n_in + c] += x[c];
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

template <typename Real> void scale(int n, const Real *b, Real *a)
{
  using V = Vector<Real>;
  for (int k = 0; k < n; k += lanes<Real>) store(a + k, load<V>(a + k) * load<V>(b + k));
}

// ---- descriptor
// ------------------------------------------------------------------------------------------------------

// By eight columns, then over the rows that have them.
template <typename Real> void descriptor(const ProductRows &products, int stride, const Real *t, Real *d)
{
  using E = Eight<Real>;
  for (int c = 0; c < products.n_columns; c += 8) {
    const E t0 = load<E>(t + c), t1 = load<E>(t + stride + c), t2 = load<E>(t + 2 * stride + c),
            t3 = load<E>(t + 3 * stride + c);
    Real *row = d;
    for (int a = 0; a < products.n_rows && products.first(a) <= c; ++a) {
      store(row + c - products.first(a),
            t[a] * t0 + t[stride + a] * t1 + t[2 * stride + a] * t2 + t[3 * stride + a] * t3);
      row += products.n_columns - products.first(a);
    }
  }
}

template <typename Real>
void descriptor_back(const ProductRows &products, int stride, const Real *t, const Real *dd, Real *dt)
{
  using E = Eight<Real>;
  for (int c = 0; c < products.n_columns; c += 8) {
    E sums[4] = {};
    const Real *row = dd;
    for (int a = 0; a < products.n_rows && products.first(a) <= c; ++a) {
      const E g = load<E>(row + c - products.first(a));
      for (int q = 0; q < 4; ++q) sums[q] += t[q * stride + a] * g;
      row += products.n_columns - products.first(a);
    }
    for (int q = 0; q < 4; ++q) store(dt + q * stride + c, sums[q]);
  }
  for (int a = 0; a < products.n_rows; ++a) {
    const int first = products.first(a);
    E sums[4] = {};
    for (int c = first; c < products.n_columns; c += 8) {
      const E g = load<E>(dd + c - first);
      for (int q = 0; q < 4; ++q) sums[q] += load<E>(t + q * stride + c) * g;
    }
    for (int q = 0; q < 4; ++q) dt[q * stride + a] += sum<Real>(sums[q]);
    dd += products.n_columns - first;
  }
}

template <typename Real> const Kernels<Real> &table(const char *name)
{
  static const Kernels<Real> all = {
      name,        2 * lanes<Real>, geometry<Real>,  scatter<Real>,        gather<Real>,     multiply<Real>,
      layer<Real>, scale<Real>,     normalise<Real>, normalise_back<Real>, descriptor<Real>, descriptor_back<Real>};
  return all;
}

}    // namespace

}    // namespace dpgen::native::DPGEN_SIMD_NAMESPACE
