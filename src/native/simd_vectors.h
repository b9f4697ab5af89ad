// Vector types and what is done with them, for simd_loops.h, which includes it inside its namespace.

#define DPGEN_INLINE inline __attribute__((always_inline))

template <typename Real, int bytes> struct Sized;
template <int n> struct Sized<double, n> {
  typedef double type __attribute__((vector_size(n)));
};
template <int n> struct Sized<float, n> {
  typedef float type __attribute__((vector_size(n)));
};

template <typename Real> struct Wide;
template <> struct Wide<double> {
  typedef long long bits __attribute__((vector_size(DPGEN_SIMD_BYTES)));
};
template <> struct Wide<float> {
  typedef int bits __attribute__((vector_size(DPGEN_SIMD_BYTES)));
};

template <typename Real> using Vector = typename Sized<Real, DPGEN_SIMD_BYTES>::type;
template <typename Real> using Eight = typename Sized<Real, 8 * sizeof(Real)>::type;
template <typename Real> using Four = typename Sized<Real, 4 * sizeof(Real)>::type;
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

DPGEN_INLINE double root(double x)
{
  return __builtin_sqrt(x);
}
DPGEN_INLINE float root(float x)
{
  return __builtin_sqrtf(x);
}

// Rows become columns: blocks of 1, 2 and 4 change places across the diagonal.
template <typename E> DPGEN_INLINE void transpose(E (&rows)[8])
{
  for (int i = 0; i < 8; i += 2) {
    const E a = rows[i], b = rows[i + 1];
    rows[i] = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
    rows[i + 1] = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 6; i += i == 1 ? 3 : 1) {    // 0, 1, 4, 5
    const E a = rows[i], b = rows[i + 2];
    rows[i] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
    rows[i + 2] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < 4; ++i) {
    const E a = rows[i], b = rows[i + 4];
    rows[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
    rows[i + 4] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// Lanes in groups of four: each gets the sum of its group.
template <typename V, int n> DPGEN_INLINE V sum_of_fours(V v)
{
  if constexpr (n == 4) {
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2);
    return v + __builtin_shufflevector(v, v, 2, 3, 0, 1);
  } else if constexpr (n == 8) {
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
    return v + __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
  } else {
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    return v + __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  }
}

// Four numbers again and again.
template <typename V, int n, typename F> DPGEN_INLINE V repeat(F four)
{
  if constexpr (n == 4) return four;
  else if constexpr (n == 8) return __builtin_shufflevector(four, four, 0, 1, 2, 3, 0, 1, 2, 3);
  else return __builtin_shufflevector(four, four, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
}
