// The trust window: which model deviations are trusted, which are worth a label, and which are beyond use.
#ifndef DPGEN_TRUST_WINDOW_H
#define DPGEN_TRUST_WINDOW_H

#include <optional>

namespace dpgen {

/// Class of a frame, ordered from good to bad.
enum class FrameClass { accurate = 0, candidate = 1, failed = 2 };

/// How two quantities, force and virial deviation, are combined.
enum class ClassRule {
  worst,    ///< failed if any quantity is at or above its hi, else candidate if any is in its window
  dpgen     ///< as DP-GEN's post-processing: a candidate in one quantity outranks a failure in the other
};

/// Half-open interval [lo, hi): below is accurate, inside is candidate, at or above hi is failed.
struct Window {
  double lo = 0.0;
  double hi = 0.0;
};

/// Windows of max_devi_f (eV/Å) and, where asked, max_devi_v (eV/atom).
struct TrustWindow {
  Window force{0.05, 0.15};
  std::optional<Window> virial;

  /// Throws InputError unless 0 <= lo <= hi and all bounds are finite.
  void check() const;
};

/// Class of one quantity; NaN and Inf are failed.
FrameClass classify(double deviation, const Window &window);

/// Class of a frame from its two maxima.
FrameClass classify(double max_devi_f, double max_devi_v, const TrustWindow &trust, ClassRule rule = ClassRule::worst);

/// "accurate", "candidate" or "failed".
const char *name(FrameClass frame_class);

}    // namespace dpgen

#endif
