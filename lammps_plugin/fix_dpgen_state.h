// What fix dpgen keeps between its steps; for the files fix_dpgen*.cpp alone.
#ifndef DPGEN_FIX_DPGEN_STATE_H
#define DPGEN_FIX_DPGEN_STATE_H

#include "fix_dpgen.h"

#include "driver_forces.h"
#include "ensemble_runner.h"
#include "fix_dpgen_options.h"
#include "look_plan.h"
#include "units.h"

#include "deviation_log.h"
#include "errors.h"
#include "frame_writer.h"
#include "pause.h"

#include <optional>

struct LAMMPS_NS::FixDpgen::State {
  explicit State(LAMMPS *lmp) : driver(lmp) {}

  FixDpgenOptions options;
  std::shared_ptr<dpgen::LookPlan> plan;
  int device = 0;    // GPU of this rank
  Units units;
  std::shared_ptr<EnsembleRunner> runner;    // our own, or that of a pair style dpgen
  bool shares = false;                       // the pair style has evaluated the models where we look
  std::string kernel_said;                   // what the log says about the code that evaluates them
  DriverForces driver;
  std::unique_ptr<dpgen::FrameWriter> frames;    // rank 0
  std::unique_ptr<dpgen::DeviationLog> out;      // rank 0
  bool files_open = false, append = false;

  dpgen::Deviation deviation;    // in the unit style of the run
  dpgen::FrameClass frame_class = dpgen::FrameClass::accurate;
  double temperature = 0.0;
  double look_seconds = 0.0;
  double look_end = 0.0;        // when the last look ended, or the run began
  bool spread_valid = false;    // the spread per atom is that of the atoms as they are
  bigint last_look = -1;        // step of the last look that was counted
  bigint last_taken = -1;       // step of the last candidate that was kept
  bigint counts[3] = {0, 0, 0};
  bigint n_stored = 0, n_dropped = 0;
  int stored_in_run = 0;
  bool captured = false;    // the pair style's forces of this step are at hand
  bool reuses = false;      // they are model 1's, and will be
  bool respa = false, rerun = false;
  bool under_way = false;    // between the first setup of a command and its end
  bool nan_said = false;
  dpgen::StopReason stop = dpgen::StopReason::none;
  std::optional<dpgen::Frame> frame;    // of this look, on all ranks if it is kept; filled on rank 0

  LookListener *listener = nullptr;
  std::vector<dpgen::Frame> held;
  int n_held = 0;
  long n_dropped_since = 0;
  std::optional<dpgen::Frame> failed;
};

#endif
