#include "bindings.h"

#include "trust_window.h"

#include <utility>

namespace py = pybind11;

namespace {

using Bounds = std::pair<double, double>;

std::string classify(double max_devi_f, double max_devi_v, Bounds trust, std::optional<Bounds> trust_v,
                     const std::string &rule)
{
  dpgen::TrustWindow window{{trust.first, trust.second}, {}};
  if (trust_v) window.virial = dpgen::Window{trust_v->first, trust_v->second};
  window.check();
  const auto class_rule = rule == "dpgen" ? dpgen::ClassRule::dpgen : dpgen::ClassRule::worst;
  return dpgen::name(dpgen::classify(max_devi_f, max_devi_v, window, class_rule));
}

}    // namespace

void bind_trust_window(py::module_ &module)
{
  module.def(
      "classify", &classify, py::arg("max_devi_f"), py::arg("max_devi_v") = 0.0, py::kw_only(), py::arg("trust"),
      py::arg("trust_v") = py::none(), py::arg("rule") = "worst",
      "Class of a frame: 'accurate', 'candidate' or 'failed'. trust = (lo, hi) in eV/Å, trust_v in eV/atom or None; "
      "rule 'worst' (as in the MD loop) or 'dpgen' (a candidate in one quantity outranks a failure in the other).");
}
