// The Python module lammps_dpgen._core: the core library's classes, one binding file each.
#include "bindings.h"

#include "errors.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, module)
{
  module.doc() = "The C++ core of lammps-dpgen. Units: eV, Å, ps.";

  // The core's errors arrive as the package's own classes.
  static py::object model_error = py::module_::import("lammps_dpgen.errors").attr("ModelError");
  static py::object config_error = py::module_::import("lammps_dpgen.errors").attr("ConfigError");
  static py::object store_error = py::module_::import("lammps_dpgen.errors").attr("StoreError");
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const dpgen::ModelError &error) {
      PyErr_SetString(model_error.ptr(), error.what());
    } catch (const dpgen::InputError &error) {
      PyErr_SetString(config_error.ptr(), error.what());
    } catch (const dpgen::FileError &error) {
      PyErr_SetString(store_error.ptr(), error.what());
    }
  });

  module.def(
      "build_info",
      []() {
        py::dict info;
        info["version"] = DPGEN_VERSION;
        info["lammps_version"] = DPGEN_LAMMPS_VERSION;
        info["compiler"] = __VERSION__;
        info["features"] = std::vector<std::string>{"fix dpgen", "fix dpgen/safe", "DeePMD C API at run time", "MPI"};
        return info;
      },
      "What this build was made for: package version, LAMMPS version of the headers, compiler, features.");

  bind_deviation(module);
  bind_trust_window(module);
  bind_ensemble(module);
  bind_frame(module);
  bind_pause(module);
}
