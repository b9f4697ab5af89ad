// What the loop tells whoever listens: each look at the ensemble, and each pause for learning.
#ifndef DPGEN_PAUSE_H
#define DPGEN_PAUSE_H

#include "frame.h"

#include <cstdint>
#include <vector>

namespace dpgen {

/// Why a run was ended before its last step.
enum class StopReason {
  none = 0,    ///< it was not; of a pause: the script is over, and this is what it has left
  failed = 1,
  candidates = 2,
  requested = 3,    ///< somebody who heard of a look asked for it
};

/// One evaluation of the ensemble; the same on all ranks.
struct Look {
  std::int64_t step = 0;
  std::int64_t last_step = 0;    ///< last step of the run command that is under way
  double time = 0.0;             ///< ps
  double temperature = 0.0;      ///< K
  double seconds = 0.0;          ///< wall time that this look cost on this rank
  Deviation deviation;
  FrameClass frame_class = FrameClass::accurate;
  TrustWindow trust;
};

/// A run that stopped between two complete steps, or the end of the script. Frames are held on rank 0 only.
struct Pause {
  StopReason reason = StopReason::none;
  std::int64_t step = 0;
  std::int64_t first_step = 0;    ///< of the user's (last) run command
  std::int64_t last_step = 0;     ///< of the user's (last) run command
  const std::vector<Frame> *candidates = nullptr;
  const Frame *failed = nullptr;    ///< the failed frame, or null
  long n_dropped = 0;               ///< candidates that were seen but not kept
};

}    // namespace dpgen

#endif
