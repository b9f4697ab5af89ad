// What the binding files share: array types and the functions that add each class to the module.
#ifndef DPGEN_BINDINGS_H
#define DPGEN_BINDINGS_H

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

using Array = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;
using IntArray = pybind11::array_t<int, pybind11::array::c_style | pybind11::array::forcecast>;

void bind_deviation(pybind11::module_ &);
void bind_ensemble(pybind11::module_ &);
void bind_frame(pybind11::module_ &);
void bind_pause(pybind11::module_ &);
void bind_trust_window(pybind11::module_ &);

/// Copies numbers into a new array of the given shape.
inline Array copy_array(const double *data, std::vector<pybind11::ssize_t> shape)
{
  Array array(std::move(shape));
  std::copy_n(data, array.size(), array.mutable_data());
  return array;
}

#endif
