// Arrays that begin where vectors are loaded fastest.
#ifndef DPGEN_NATIVE_BUFFER_H
#define DPGEN_NATIVE_BUFFER_H

#include "native/simd.h"

#include <new>
#include <vector>

namespace dpgen::native {

template <typename T> struct RowAllocator {
  using value_type = T;
  RowAllocator() = default;
  template <typename U> RowAllocator(const RowAllocator<U> &) {}
  T *allocate(std::size_t n) { return static_cast<T *>(::operator new(n * sizeof(T), std::align_val_t(row_bytes))); }
  void deallocate(T *at, std::size_t) { ::operator delete(at, std::align_val_t(row_bytes)); }
  bool operator==(const RowAllocator &) const { return true; }
  bool operator!=(const RowAllocator &) const { return false; }
};

template <typename T> using Buffer = std::vector<T, RowAllocator<T>>;

/// Makes a scratch buffer at least this long and returns it; what was in it may be lost.
template <typename T> T *room(Buffer<T> &buffer, std::size_t n)
{
  if (buffer.size() < n) buffer.resize(n);
  return buffer.data();
}

}    // namespace dpgen::native

#endif
