#include "trust_window.h"

#include "errors.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace dpgen {

namespace {

void check_window(const Window &window, const char *what)
{
  if (!std::isfinite(window.lo) || !std::isfinite(window.hi) || window.lo < 0.0 || window.lo > window.hi)
    throw InputError(std::string("trust window of ") + what + " is lo = " + std::to_string(window.lo) +
                     ", hi = " + std::to_string(window.hi) + "; it needs 0 <= lo <= hi, both finite");
}

}    // namespace

void TrustWindow::check() const
{
  check_window(force, "the force deviation");
  if (virial) check_window(*virial, "the virial deviation");
}

FrameClass classify(double deviation, const Window &window)
{
  if (!std::isfinite(deviation) || deviation >= window.hi) return FrameClass::failed;
  return deviation >= window.lo ? FrameClass::candidate : FrameClass::accurate;
}

FrameClass classify(double max_devi_f, double max_devi_v, const TrustWindow &trust, ClassRule rule)
{
  const FrameClass by_force = classify(max_devi_f, trust.force);
  if (!trust.virial) return by_force;
  const FrameClass by_virial = classify(max_devi_v, *trust.virial);
  if (rule == ClassRule::dpgen && (by_force == FrameClass::candidate || by_virial == FrameClass::candidate))
    return FrameClass::candidate;
  return std::max(by_force, by_virial);
}

const char *name(FrameClass frame_class)
{
  switch (frame_class) {
    case FrameClass::accurate: return "accurate";
    case FrameClass::candidate: return "candidate";
    case FrameClass::failed: break;
  }
  return "failed";
}

}    // namespace dpgen
