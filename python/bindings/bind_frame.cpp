#include "bindings.h"

#include "frame.h"
#include "frame_writer.h"

namespace py = pybind11;

void bind_frame(py::module_ &module)
{
  using dpgen::Frame;
  py::class_<Frame>(module, "Frame", "A frame as the fix stored it; eV, Å, ps.")
      .def_readonly("step", &Frame::step)
      .def_readonly("time", &Frame::time)
      .def_readonly("temperature", &Frame::temperature)
      .def_readonly("species", &Frame::species)
      .def_readonly("tags", &Frame::tags)
      .def_readonly("periodic", &Frame::periodic)
      .def_readonly("deviation", &Frame::deviation)
      .def_readonly("fix_id", &Frame::fix_id)
      .def_readonly("model_hashes", &Frame::model_hashes)
      .def_property_readonly("frame_class", [](const Frame &f) { return std::string(dpgen::name(f.frame_class)); })
      .def_property_readonly("cell", [](const Frame &f) { return copy_array(f.cell.data(), {3, 3}); })
      .def_property_readonly("origin", [](const Frame &f) { return copy_array(f.origin.data(), {3}); })
      .def_property_readonly(
          "positions",
          [](const Frame &f) { return copy_array(f.positions.data(), {static_cast<py::ssize_t>(f.n_atoms()), 3}); })
      .def_property_readonly(
          "spread", [](const Frame &f) { return copy_array(f.spread.data(), {static_cast<py::ssize_t>(f.n_atoms())}); })
      .def("to_extxyz", &dpgen::to_extxyz, "The frame as extended XYZ text.");
}
