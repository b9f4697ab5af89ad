#include "bindings.h"

#include "pause.h"

namespace py = pybind11;

namespace {

const char *reason(const dpgen::Pause &pause)
{
  switch (pause.reason) {
    case dpgen::StopReason::failed: return "failed";
    case dpgen::StopReason::candidates: return "candidates";
    case dpgen::StopReason::requested: return "requested";
    case dpgen::StopReason::none: break;
  }
  return "end";
}

std::vector<dpgen::Frame> candidates(const dpgen::Pause &pause)
{
  return pause.candidates ? *pause.candidates : std::vector<dpgen::Frame>{};
}

}    // namespace

void bind_pause(py::module_ &module)
{
  using dpgen::Look;
  using dpgen::Pause;
  py::class_<Look>(module, "Look", "One evaluation of the ensemble in the loop.")
      .def_readonly("step", &Look::step)
      .def_readonly("last_step", &Look::last_step)
      .def_readonly("time", &Look::time)
      .def_readonly("temperature", &Look::temperature)
      .def_readonly("seconds", &Look::seconds)
      .def_readonly("deviation", &Look::deviation)
      .def_property_readonly("frame_class", [](const Look &l) { return std::string(dpgen::name(l.frame_class)); })
      .def_property_readonly("trust", [](const Look &l) { return py::make_tuple(l.trust.force.lo, l.trust.force.hi); });
  py::class_<Pause>(module, "Pause", "A run that stopped for learning, or the end of the script.")
      .def_property_readonly("reason", &reason)
      .def_readonly("step", &Pause::step)
      .def_readonly("first_step", &Pause::first_step)
      .def_readonly("last_step", &Pause::last_step)
      .def_readonly("n_dropped", &Pause::n_dropped)
      .def_property_readonly("candidates", &candidates)
      .def_property_readonly("failed",
                             [](const Pause &p) -> py::object { return p.failed ? py::cast(*p.failed) : py::none(); });
  // The plugin hands its hooks plain addresses; they are valid while the hook runs, so everything is copied out.
  module.def("look_at", [](std::uintptr_t address) { return *reinterpret_cast<const Look *>(address); });
  module.def("frame_at", [](std::uintptr_t address) { return *reinterpret_cast<const dpgen::Frame *>(address); });
  module.def(
      "pause_at", [](std::uintptr_t address) { return *reinterpret_cast<const Pause *>(address); },
      "The pause at an address; its frames must be read before the hook returns.");
}
