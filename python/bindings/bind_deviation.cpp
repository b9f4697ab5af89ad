#include "bindings.h"

#include "deviation.h"
#include "errors.h"

#include <optional>

namespace py = pybind11;

namespace {

// forces [m, n, 3], virials [m, 3, 3] -> (Deviation, spread [n])
py::tuple deviation(const Array &forces, const Array &virials, std::optional<double> relative,
                    std::optional<double> relative_v)
{
  if (forces.ndim() != 3 || forces.shape(2) != 3)
    throw dpgen::InputError("forces must have shape [n_models, n_atoms, 3]");
  const py::ssize_t n_models = forces.shape(0), n_atoms = forces.shape(1);
  if (virials.ndim() != 3 || virials.shape(0) != n_models || virials.shape(1) != 3 || virials.shape(2) != 3)
    throw dpgen::InputError("virials must have shape [n_models, 3, 3] with the n_models of the forces");

  std::vector<const double *> pointers;
  std::vector<dpgen::Virial> tensors(n_models);
  for (py::ssize_t m = 0; m < n_models; ++m) {
    pointers.push_back(forces.data(m, 0, 0));
    std::copy_n(virials.data(m, 0, 0), 9, tensors[m].begin());
  }
  Array spread(n_atoms);
  dpgen::Deviation result;
  dpgen::force_spread(pointers, n_atoms, relative.value_or(-1.0), spread.mutable_data());
  dpgen::SpreadSummary summary;
  for (py::ssize_t i = 0; i < n_atoms; ++i) summary.add(spread.data()[i]);
  summary.finish(result);
  dpgen::virial_deviation(tensors, static_cast<double>(n_atoms), relative_v.value_or(-1.0), result);
  return py::make_tuple(result, spread);
}

}    // namespace

void bind_deviation(py::module_ &module)
{
  py::class_<dpgen::Deviation>(module, "Deviation", "The six figures of model deviation; eV/Å and eV/atom.")
      .def_readonly("max_v", &dpgen::Deviation::max_v)
      .def_readonly("min_v", &dpgen::Deviation::min_v)
      .def_readonly("avg_v", &dpgen::Deviation::avg_v)
      .def_readonly("max_f", &dpgen::Deviation::max_f)
      .def_readonly("min_f", &dpgen::Deviation::min_f)
      .def_readonly("avg_f", &dpgen::Deviation::avg_f);
  module.def("deviation", &deviation, py::arg("forces"), py::arg("virials"), py::arg("relative") = py::none(),
             py::arg("relative_v") = py::none(),
             "Deviation and spread per atom [n_atoms] of forces [n_models, n_atoms, 3] (eV/Å) and virials "
             "[n_models, 3, 3] (eV).");
}
