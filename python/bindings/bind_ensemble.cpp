#include "bindings.h"

#include "ensemble.h"
#include "errors.h"
#include "joined_ensemble.h"

#include <map>
#include <optional>

namespace py = pybind11;

namespace {

std::shared_ptr<dpgen::Ensemble> load(const std::vector<std::string> &paths, const std::vector<std::string> &hints,
                                      int device, int min_models, const std::string &kernel,
                                      const std::string &precision, bool self_test, double tolerance)
{
  const std::map<std::string, dpgen::Kernel> kernels = {
      {"auto", dpgen::Kernel::automatic}, {"native", dpgen::Kernel::native}, {"deepmd", dpgen::Kernel::deepmd}};
  const std::map<std::string, dpgen::Precision> precisions = {{"double", dpgen::Precision::fp64},
                                                              {"single", dpgen::Precision::fp32}};
  if (kernels.count(kernel) == 0)
    throw dpgen::InputError("kernel is '" + kernel + "'; it can be auto, native or deepmd");
  if (precisions.count(precision) == 0)
    throw dpgen::InputError("precision is '" + precision + "'; it can be double or single");
  dpgen::EnsembleOptions options;
  options.device = device;
  options.library_hints = hints;
  options.kernel = kernels.at(kernel);
  options.precision = precisions.at(precision);
  options.self_test = self_test;
  options.tolerance = tolerance;
  return dpgen::load_ensemble(paths, options, min_models);
}

py::tuple evaluate(dpgen::Ensemble &ensemble, const IntArray &types, const Array &positions,
                   const std::optional<Array> &cell, const std::optional<int> &first_models)
{
  const py::ssize_t n_atoms = types.size(), n_models = first_models.value_or(ensemble.n_models());
  if (n_models < 0 || n_models > ensemble.n_models())
    throw dpgen::InputError("n_models is " + std::to_string(n_models) + ", the ensemble has " +
                            std::to_string(ensemble.n_models()));
  if (positions.ndim() != 2 || positions.shape(0) != n_atoms || positions.shape(1) != 3)
    throw dpgen::InputError("positions must have shape [n_atoms, 3] with n_atoms = " + std::to_string(n_atoms));
  if (cell && cell->size() != 9) throw dpgen::InputError("cell must have shape [3, 3]");
  for (py::ssize_t i = 0; i < n_atoms; ++i)
    if (types.data()[i] >= static_cast<int>(ensemble.type_map().size()))
      throw dpgen::InputError("type " + std::to_string(types.data()[i]) + " of atom " + std::to_string(i) +
                              " is outside the type map");
  Array energies(n_models), forces({n_models, n_atoms, py::ssize_t(3)}),
      virials({n_models, py::ssize_t(3), py::ssize_t(3)});
  std::vector<dpgen::Prediction> predictions;
  {
    py::gil_scoped_release release;
    ensemble.evaluate_frame_all(static_cast<int>(n_models), static_cast<int>(n_atoms), positions.data(), types.data(),
                                cell ? cell->data() : nullptr, predictions);
  }
  for (py::ssize_t m = 0; m < n_models; ++m) {
    const dpgen::Prediction &prediction = predictions[m];
    energies.mutable_data()[m] = prediction.energy;
    std::copy_n(prediction.forces.data(), 3 * n_atoms, forces.mutable_data() + 3 * n_atoms * m);
    std::copy_n(prediction.virial.data(), 9, virials.mutable_data() + 9 * m);
  }
  return py::make_tuple(energies, forces, virials);
}

}    // namespace

void bind_ensemble(py::module_ &module)
{
  py::class_<dpgen::Ensemble, std::shared_ptr<dpgen::Ensemble>>(module, "Ensemble",
                                                                "Models trained together; made by load_ensemble.")
      .def_property_readonly("n_models", &dpgen::Ensemble::n_models)
      .def_property_readonly("cutoff", &dpgen::Ensemble::cutoff, "Å")
      .def_property_readonly("type_map", &dpgen::Ensemble::type_map)
      .def_property_readonly("hashes", &dpgen::Ensemble::hashes, "SHA-256 of the model files")
      .def_property_readonly("kernel", &dpgen::Ensemble::kernel, "which code evaluates the models, and why")
      .def_property_readonly("together", &dpgen::Ensemble::evaluates_together,
                             "whether the native kernel evaluates them, all together")
      .def_property_readonly("tolerance", &dpgen::Ensemble::tolerance, "how far forces may be from DeePMD-kit's, eV/Å")
      .def_property_readonly("multiply_adds", &dpgen::Ensemble::multiply_adds, "of the last evaluation")
      .def_property_readonly("paths", &dpgen::Ensemble::paths)
      .def("evaluate", &evaluate, py::arg("types"), py::arg("positions"), py::arg("cell") = py::none(),
           py::arg("n_models") = py::none(),
           "Energies [m] (eV), forces [m, n, 3] (eV/Å) and virials [m, 3, 3] (eV) of one frame; types index the type "
           "map, "
           "cell rows are vectors (Å), None: not periodic; of the first n_models models, None: all.")
      .def_property_readonly(
          "address", [](dpgen::Ensemble &ensemble) { return reinterpret_cast<std::uintptr_t>(&ensemble); },
          "Where it lies in memory, for the plugin in the same process.")
      .def_property_readonly(
          "n_holders", [](dpgen::Ensemble &ensemble) { return ensemble.weak_from_this().use_count(); },
          "How many hold these models: this object, joined ensembles, and a learning run and its fix in LAMMPS.");
  module.def(
      "join_ensembles",
      [](const std::vector<std::shared_ptr<dpgen::Ensemble>> &parts) -> std::shared_ptr<dpgen::Ensemble> {
        return std::make_shared<dpgen::JoinedEnsemble>(parts);
      },
      py::arg("parts"), "All models of several ensembles, which stay loaded once.");
  module.def("load_ensemble", &load, py::call_guard<py::gil_scoped_release>(), py::arg("paths"),
             py::arg("library_hints") = std::vector<std::string>{}, py::arg("device") = 0, py::arg("min_models") = 2,
             py::arg("kernel") = "deepmd", py::arg("precision") = "double", py::arg("self_test") = true,
             py::arg("tolerance") = 1e-6,
             "Load model files; raises ModelError for files that are no models or do not fit together.");
}
