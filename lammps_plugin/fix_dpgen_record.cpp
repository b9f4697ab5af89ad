// What a look leaves: rows, frames, counts, an end of the run, output for LAMMPS, and the restart.
#include "fix_dpgen_state.h"

#include "frame_gather.h"
#include "look_listener.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "modify.h"
#include "timer.h"
#include "update.h"

#include <cstring>

using namespace LAMMPS_NS;
using dpgen::FrameClass;
using dpgen::StopReason;

/* ----------------------------------------------------------------------
   A run that goes on from a restart file goes on in its output files.
------------------------------------------------------------------------- */

void FixDpgen::open_files()
{
  State &s = *state_;
  if (s.files_open) return;
  s.files_open = true;
  for (auto *other : modify->get_fix_by_style("^dpgen$")) {
    const auto *fix = dynamic_cast<FixDpgen *>(other);
    if (!fix || fix == this || !fix->state_->files_open) continue;
    const FixDpgenOptions &theirs = fix->state_->options;
    for (const std::string &file : {s.options.out_file, s.options.frames})
      if (!file.empty() && (file == theirs.out_file || file == theirs.frames))
        error->all(FLERR, "Fix dpgen {}: fix {} writes to '{}' already; give another out_file and frames", id, fix->id,
                   file);
  }
  std::string message;
  if (comm->me == 0) {
    try {
      if (!s.options.frames.empty()) s.frames = std::make_unique<dpgen::FrameWriter>(s.options.frames, s.append);
      if (!s.options.out_file.empty()) s.out = std::make_unique<dpgen::DeviationLog>(s.options.out_file, s.append);
    } catch (const std::exception &caught) {
      message = caught.what();
    }
  }
  fail_together(message);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::write_row()
{
  State &s = *state_;
  if (s.options.out_file.empty()) return;
  std::vector<double> atomic;
  if (s.options.atomic) atomic = gather_by_id(lmp, vector_atom);
  std::string message;
  if (s.out) {
    try {
      s.out->write(update->ntimestep, s.deviation, atomic);
    } catch (const std::exception &caught) {
      message = caught.what();
    }
  }
  fail_together(message);
}

/* ----------------------------------------------------------------------
   A candidate is taken unless it is too soon or too many; a failed frame
   is of use to a listener only.
------------------------------------------------------------------------- */

bool FixDpgen::takes_frame() const
{
  const State &s = *state_;
  if (s.frame_class != FrameClass::candidate) return s.frame_class == FrameClass::failed && s.listener;
  // After reset_timestep the last one may lie in the future.
  const bool too_soon =
      s.last_taken >= 0 && s.last_taken <= update->ntimestep && update->ntimestep - s.last_taken < s.options.min_gap;
  return !too_soon && s.stored_in_run < s.options.max_frames;
}

/* ---------------------------------------------------------------------- */

void FixDpgen::collect_frame()
{
  State &s = *state_;
  s.frame.reset();
  if (!takes_frame()) return;
  s.frame.emplace();
  if (s.options.frames.empty() && !s.listener) return;    // counted only
  gather_frame(lmp, vector_atom, s.options.types, *s.frame);
}

/* ----------------------------------------------------------------------
   Store a candidate; keep the last failed frame for whoever listens.
------------------------------------------------------------------------- */

void FixDpgen::take_frame()
{
  State &s = *state_;
  const bool candidate = s.frame_class == FrameClass::candidate;
  if (candidate && s.frame) {
    s.last_taken = update->ntimestep;
    ++s.stored_in_run;
    ++s.n_stored;
    if (s.listener) ++s.n_held;
  } else if (candidate) {
    ++s.n_dropped;
    ++s.n_dropped_since;
  }
  if (!s.frame) return;
  std::string message;
  if (comm->me == 0) {
    dpgen::Frame &frame = *s.frame;
    frame.temperature = s.temperature;
    frame.deviation = s.deviation;
    frame.frame_class = s.frame_class;
    frame.fix_id = id;
    frame.model_hashes = s.runner->ensemble().hashes();
    to_core_units(frame);
    try {
      if (candidate && s.frames) s.frames->write(frame);
    } catch (const std::exception &caught) {
      message = caught.what();
    }
    if (s.listener && candidate) s.held.push_back(frame);
    if (s.listener && !candidate) s.failed = frame;
  }
  fail_together(message);
}

/* ----------------------------------------------------------------------
   Stored frames are in eV and Angstrom whatever the unit style.
------------------------------------------------------------------------- */

void FixDpgen::to_core_units(dpgen::Frame &frame) const
{
  const double f = force_factor(), v = virial_factor();
  dpgen::Deviation &d = frame.deviation;
  for (double *figure : {&d.max_f, &d.min_f, &d.avg_f}) *figure *= f;
  for (double *figure : {&d.max_v, &d.min_v, &d.avg_v}) *figure *= v;
  for (double &spread : frame.spread) spread *= f;
}

/* ---------------------------------------------------------------------- */

void FixDpgen::decide_stop()
{
  State &s = *state_;
  const int n_candidates = s.listener ? s.n_held : s.stored_in_run;
  if (s.options.stop == FixDpgenOptions::Stop::never || s.rerun) return;
  if (s.frame_class == FrameClass::failed) s.stop = StopReason::failed;
  else if (s.options.stop == FixDpgenOptions::Stop::candidates && n_candidates >= s.options.stop_candidates)
    s.stop = StopReason::candidates;
  if (s.stop != StopReason::none) timer->force_timeout();
}

/* ---------------------------------------------------------------------- */

void FixDpgen::post_run()
{
  State &s = *state_;
  s.under_way = false;
  if (s.stop == StopReason::none || s.listener || comm->me != 0) return;
  if (s.stop == StopReason::failed)
    utils::logmesg(lmp,
                   "Fix dpgen {}: run stopped at step {}: failed frame, max_devi_f {:.6g} (trust {:g} {:g}), "
                   "max_devi_v {:.6g}; later run commands are skipped\n",
                   id, update->ntimestep, s.deviation.max_f, s.options.trust.force.lo, s.options.trust.force.hi,
                   s.deviation.max_v);
  else
    utils::logmesg(lmp, "Fix dpgen {}: run stopped at step {}: {} candidates{}; later run commands are skipped\n", id,
                   update->ntimestep, s.stored_in_run,
                   s.options.frames.empty() ? "" : " stored in '" + s.options.frames + "'");
}

/* ---------------------------------------------------------------------- */

double FixDpgen::compute_scalar()
{
  return state_->deviation.max_f;
}

/* ---------------------------------------------------------------------- */

double FixDpgen::compute_vector(int n)
{
  const State &s = *state_;
  const dpgen::Deviation &d = s.deviation;
  const double values[12] = {d.max_v,
                             d.min_v,
                             d.avg_v,
                             d.max_f,
                             d.min_f,
                             d.avg_f,
                             double(s.counts[0]),
                             double(s.counts[1]),
                             double(s.counts[2]),
                             double(static_cast<int>(s.stop)),
                             double(s.n_stored),
                             double(s.n_dropped)};
  return values[n];
}

/* ----------------------------------------------------------------------
   fix_modify ID trust|vtrust|stop|max_frames|min_gap ... | every N | reload
------------------------------------------------------------------------- */

int FixDpgen::modify_param(int narg, char **arg)
{
  State &s = *state_;
  const std::string keyword = arg[0];
  int used = 0;
  std::string message;
  try {
    if (keyword == "reload") {
      reload_models();
      return 1;
    }
    if (keyword == "every") {
      if (narg < 2) throw dpgen::InputError("fix_modify every needs a number of steps");
      set_shortest(utils::inumeric(FLERR, arg[1], false, lmp));
      return 2;
    }
    for (const char *allowed : {"trust", "vtrust", "stop", "max_frames", "min_gap"})
      if (keyword == allowed) used = s.options.parse_keyword(narg, arg, atom->ntypes);
    s.options.check();
    check_group();
  } catch (const dpgen::Error &caught) {
    message = caught.what();
  }
  fail_together(message);
  return used;
}

/* ---------------------------------------------------------------------- */

namespace {
constexpr int n_restart = 13;
}

void FixDpgen::write_restart(FILE *file)
{
  const State &s = *state_;
  if (comm->me != 0) return;
  const double numbers[n_restart] = {double(s.counts[0]), double(s.counts[1]), double(s.counts[2]),  double(s.n_stored),
                                     double(s.n_dropped), double(s.last_look), double(s.last_taken), s.deviation.max_v,
                                     s.deviation.min_v,   s.deviation.avg_v,   s.deviation.max_f,    s.deviation.min_f,
                                     s.deviation.avg_f};
  const int size = sizeof numbers;
  fwrite(&size, sizeof size, 1, file);
  fwrite(numbers, sizeof numbers, 1, file);
}

void FixDpgen::restart(char *buffer)
{
  State &s = *state_;
  double numbers[n_restart];
  std::memcpy(numbers, buffer, sizeof numbers);
  for (int c = 0; c < 3; ++c) s.counts[c] = static_cast<bigint>(numbers[c]);
  s.n_stored = static_cast<bigint>(numbers[3]);
  s.n_dropped = static_cast<bigint>(numbers[4]);
  s.last_look = static_cast<bigint>(numbers[5]);
  s.last_taken = static_cast<bigint>(numbers[6]);
  s.deviation = {numbers[7], numbers[8], numbers[9], numbers[10], numbers[11], numbers[12]};
  s.append = true;
}
