// The keywords of fix dpgen, parsed and checked.
#ifndef DPGEN_FIX_DPGEN_OPTIONS_H
#define DPGEN_FIX_DPGEN_OPTIONS_H

#include "ensemble.h"
#include "trust_window.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

struct FixDpgenOptions {
  enum class Stop { never, failed, candidates };

  int every = 1;                              ///< look at every N-th step
  std::vector<std::string> models;            ///< files
  std::vector<std::string> types;             ///< element per LAMMPS type; "NULL": the models do not see it
  dpgen::TrustWindow trust;                   ///< in the unit style of the run
  double relative = -1.0;                     ///< < 0: off
  double relative_v = -1.0;                   ///< < 0: off
  std::string out_file = "model_devi.out";    ///< empty: none
  bool atomic = false;
  std::string frames = "dpgen_frames.extxyz";    ///< empty: none
  int max_frames = 1000;
  int min_gap = 0;
  Stop stop = Stop::failed;
  int stop_candidates = 0;
  dpgen::Kernel kernel = dpgen::Kernel::automatic;
  bool adaptive = false;    ///< look rarely where the deviation is far below the window
  double budget = 0.1;      ///< share of the run's time that looks of an adaptive stride may take

  /// Parses "N model_1 ... model_M keyword value ..."; throws dpgen::InputError that names the keyword and the value.
  static FixDpgenOptions parse(int narg, char **arg, int n_types, double force_per_ev_per_angstrom);

  /// Throws dpgen::InputError where values that are right alone contradict each other.
  void check() const;

  /// Parses one keyword at arg[0]; returns how many words it took, 0 if it is not a keyword of the fix.
  int parse_keyword(int narg, char **arg, int n_types);
};

}    // namespace LAMMPS_NS

#endif
