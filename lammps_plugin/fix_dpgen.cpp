#include "fix_dpgen.h"

#include "ensemble_runner.h"
#include "fix_dpgen_options.h"
#include "frame_gather.h"
#include "look_listener.h"
#include "neigh_request.h"
#include "units.h"

#include "deviation_log.h"
#include "errors.h"
#include "frame_writer.h"
#include "pause.h"
#include "sha256.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "input.h"
#include "memory.h"
#include "modify.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "timer.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

using namespace LAMMPS_NS;
using namespace FixConst;
using dpgen::FrameClass;
using dpgen::StopReason;

struct FixDpgen::State {
  FixDpgenOptions options;
  int every = 1;
  int device = 0;    // GPU of this rank
  Units units;
  std::unique_ptr<EnsembleRunner> runner;
  NeighList *list = nullptr;
  std::unique_ptr<dpgen::FrameWriter> frames;    // rank 0
  std::unique_ptr<dpgen::DeviationLog> out;      // rank 0
  bool files_open = false, append = false;

  dpgen::Deviation deviation;    // in the unit style of the run
  FrameClass frame_class = FrameClass::accurate;
  double temperature = 0.0;
  double look_seconds = 0.0;
  bigint last_look = -1;       // step of the last look that was counted
  bigint last_taken = -1;      // step of the last candidate that was kept
  bigint counts[3] = {0, 0, 0};
  bigint n_stored = 0, n_dropped = 0;
  int stored_in_run = 0;
  bool captured = false;    // the pair style's forces of this step are at hand
  bool respa = false;
  bool nan_said = false;
  StopReason stop = StopReason::none;
  std::optional<dpgen::Frame> frame;    // of this look, on all ranks if it is kept; filled on rank 0

  LookListener *listener = nullptr;
  std::vector<dpgen::Frame> held;
  int n_held = 0;
  long n_dropped_since = 0;
  std::optional<dpgen::Frame> failed;
};

namespace {

// DeePMD-kit spreads the ranks of a node over its GPUs by this number.
int rank_on_node(MPI_Comm world)
{
  MPI_Comm node;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int rank = 0;
  MPI_Comm_rank(node, &rank);
  MPI_Comm_free(&node);
  return rank;
}

// Equal up to the rounding that another order of the atoms brings.
bool same_figure(double a, double b)
{
  return (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-9 + 1e-7 * std::abs(b);
}

// True if these models were loaded from files with the content of those at `paths` now.
bool has_content(const dpgen::Ensemble &ensemble, const std::vector<std::string> &paths)
{
  std::vector<std::string> hashes;
  for (const std::string &path : paths) hashes.push_back(dpgen::sha256_of_file(path));
  return ensemble.hashes() == hashes;
}

bool same_figures(const dpgen::Deviation &a, const dpgen::Deviation &b)
{
  return same_figure(a.max_f, b.max_f) && same_figure(a.min_f, b.min_f) && same_figure(a.avg_f, b.avg_f) &&
      same_figure(a.max_v, b.max_v) && same_figure(a.min_v, b.min_v) && same_figure(a.avg_v, b.avg_v);
}

}    // namespace

/* ---------------------------------------------------------------------- */

FixDpgen::FixDpgen(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), state_(std::make_unique<State>())
{
  State &s = *state_;
  if (!units_known(update->unit_style))
    error->all(FLERR, "Fix dpgen {}: units {} cannot be converted to eV and Angstrom; use units metal or real", id,
               update->unit_style);
  if (domain->dimension != 3) error->all(FLERR, "Fix dpgen {}: dimension {}; only 3d is possible", id, domain->dimension);

  scalar_flag = vector_flag = peratom_flag = 1;
  size_vector = 12;
  extscalar = extvector = 0;
  global_freq = 1;
  size_peratom_cols = 0;
  restart_global = 1;
  dynamic_group_allow = 1;

  std::string message;
  try {
    s.units = units_of(*force);
    s.options = FixDpgenOptions::parse(narg - 3, arg + 3, atom->ntypes, 1.0 / s.units.force);
    if (s.options.trust.virial && igroup != 0)
      throw dpgen::InputError("vtrust with group '" + std::string(group->names[igroup]) +
                              "': the virial belongs to all atoms; use group all or no vtrust");
    s.device = rank_on_node(world);
    s.runner = std::make_unique<EnsembleRunner>(lmp, dpgen::load_ensemble(s.options.models, {s.device, {}}), s.options.types);
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(message);

  // LAMMPS calls at every step, so that set_every() holds at once; the fix itself leaves out the steps in between.
  nevery = 1;
  s.every = peratom_freq = s.options.every;
  comm_reverse = 3 * s.runner->ensemble().n_models();
  grow_spread();
}

/* ---------------------------------------------------------------------- */

FixDpgen::~FixDpgen()
{
  memory->destroy(vector_atom);
}

/* ---------------------------------------------------------------------- */

int FixDpgen::setmask()
{
  return PRE_REVERSE | END_OF_STEP | MIN_POST_FORCE | POST_RUN;
}

/* ----------------------------------------------------------------------
   One error for all: the message of the lowest rank that has one ends the
   run everywhere.
------------------------------------------------------------------------- */

void FixDpgen::fail_together(const std::string &message)
{
  int mine = message.empty() ? comm->nprocs : comm->me, first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  std::string text = message;
  int length = static_cast<int>(text.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  text.resize(length);
  MPI_Bcast(text.data(), length, MPI_CHAR, first, world);
  error->all(FLERR, "Fix dpgen {} at step {}: {}", id, update->ntimestep, text);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::init()
{
  State &s = *state_;
  const double cutoff = s.runner->ensemble().cutoff() / s.units.length;
  if (atom->molecular != Atom::ATOMIC)
    for (int k = 1; k < 4; ++k)
      if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0)
        error->all(FLERR,
                   "Fix dpgen {}: special_bonds drops 1-{} neighbors from the list that the models need; use "
                   "'special_bonds lj/coul 1 1 1' (or 1.0e-50 where a factor must vanish)", id, k + 1);

  if (!force->newton_pair)
    error->all(FLERR, "Fix dpgen {}: newton is off for pairs, but the models' forces on ghost atoms must be summed up; use "
               "'newton on'", id);
  if (neighbor->nex_type + neighbor->nex_group + neighbor->nex_mol > 0 && comm->me == 0)
    error->warning(FLERR, "Fix dpgen {}: pairs are excluded from the neighbor lists; the models do not see them", id);

  s.respa = utils::strmatch(update->integrate_style, "^respa");
  auto *request = neighbor->add_request(this, NeighConst::REQ_FULL);
  if (shortest_pair_cutoff() < cutoff * (1.0 - 1e-10)) {    // 1e-10: square roots
    // LAMMPS wants a list of its own to end one skin before the ghosts do.
    const double needed = cutoff + 2.0 * neighbor->skin;
    const double reach = std::max(comm->cutghostuser, force->pair ? force->pair->cutforce + neighbor->skin : 0.0);
    if (reach < needed)
      error->all(FLERR, "Fix dpgen {}: the communication cutoff is {:.4f}, the models need {:.4f} with two neighbor skins "
                 "beside this pair style; add 'comm_modify cutoff {:.4f}'", id, reach, needed, needed);
    request->set_cutoff(cutoff + neighbor->skin);
  }
  open_files();
  if (group->count(igroup) == 0.0 && atom->natoms > 0)
    error->all(FLERR, "Fix dpgen {}: group '{}' has no atoms", id, group->names[igroup]);
}

/* ----------------------------------------------------------------------
   A pair style may have another cutoff for each pair of types: the list
   must reach as far as the models for all of them.
------------------------------------------------------------------------- */

double FixDpgen::shortest_pair_cutoff() const
{
  if (!force->pair) return 0.0;
  double shortest = force->pair->cutforce;
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j)
      if (state_->runner->sees(i) && state_->runner->sees(j))
        shortest = std::min(shortest, std::sqrt(force->pair->cutsq[i][j]));
  return shortest;
}

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
      if (!s.options.frames.empty())
        s.frames = std::make_unique<dpgen::FrameWriter>(s.options.frames, s.append);
      if (!s.options.out_file.empty())
        s.out = std::make_unique<dpgen::DeviationLog>(s.options.out_file, s.append);
    } catch (const std::exception &caught) {
      message = caught.what();
    }
  }
  fail_together(message);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::init_list(int, NeighList *list)
{
  state_->list = list;
}

/* ---------------------------------------------------------------------- */

void FixDpgen::setup_pre_reverse(int, int)
{
  State &s = *state_;
  s.runner->forget_reuse();
  s.captured = force->pair && !s.respa;
  if (s.captured) s.runner->capture_pair_forces();
}

/* ----------------------------------------------------------------------
   Forces that are model 1's now may get another part later, if there is
   anything that could add one: a short-ranged sub-style, a bond, a factor.
------------------------------------------------------------------------- */

bool FixDpgen::only_pair_forces() const
{
  return !utils::strmatch(force->pair_style, "^hybrid") && !force->bond &&
      !force->angle && !force->dihedral && !force->improper && !force->kspace &&
      modify->get_fix_by_style("^adapt").empty();
}

/* ---------------------------------------------------------------------- */

void FixDpgen::setup(int)
{
  State &s = *state_;
  s.stored_in_run = 0;
  s.nan_said = false;
  s.stop = StopReason::none;
  if (!look_step() && !s.captured) return;

  evaluate(true);
  if (!look_step()) return;
  const dpgen::Deviation before = s.deviation;
  judge();
  const bool seen = update->ntimestep == s.last_look && same_figures(before, s.deviation);
  if (seen) return;
  collect_frame();
  conclude();
}

/* ----------------------------------------------------------------------
   A minimization has no setup_pre_reverse with forces that could be used.
------------------------------------------------------------------------- */

void FixDpgen::min_setup(int vflag)
{
  state_->captured = false;
  state_->runner->forget_reuse();
  setup(vflag);
}

/* ----------------------------------------------------------------------
   The models are asked here, on the very positions of the pair style:
   fixes that come later in the step may change them, as fix deform does.
   Monte Carlo fixes, which try out moves, do not come here.
------------------------------------------------------------------------- */

void FixDpgen::pre_reverse(int, int)
{
  State &s = *state_;
  if (!due() || s.respa) return;
  s.captured = s.runner->reuses_pair_forces();
  if (s.captured) s.runner->capture_pair_forces();
  evaluate(false);
  judge();
  collect_frame();
}

/* ----------------------------------------------------------------------
   r-RESPA computes forces several times in a step: the end counts.
------------------------------------------------------------------------- */

void FixDpgen::end_of_step()
{
  if (!due()) return;
  if (state_->respa) {
    state_->captured = false;
    evaluate(false);
    judge();
    collect_frame();
  }
  conclude();
}

/* ---------------------------------------------------------------------- */

bool FixDpgen::look_step() const
{
  return update->ntimestep % state_->every == 0;
}

bool FixDpgen::due() const
{
  return look_step() && update->ntimestep != state_->last_look;
}

/* ----------------------------------------------------------------------
   The line search evaluates forces several times in one iteration: the
   first configuration counts.
------------------------------------------------------------------------- */

void FixDpgen::min_post_force(int)
{
  if (!due()) return;
  state_->captured = false;
  evaluate(false);
  judge();
  collect_frame();
  conclude();
}

/* ----------------------------------------------------------------------
   The models on the atoms as they are. At setup the pair style's forces
   are compared with model 1, which is all that is asked between two looks.
------------------------------------------------------------------------- */

void FixDpgen::evaluate(bool at_setup)
{
  State &s = *state_;
  const double begin = platform::walltime();
  const int n_models = look_step() ? s.runner->ensemble().n_models() : 1;
  fail_together(s.runner->evaluate(s.list, !at_setup && s.captured, n_models));
  if (at_setup && s.captured) s.runner->decide_reuse(only_pair_forces());
  if (look_step()) s.runner->sum_ghost_forces(this);
  s.look_seconds = platform::walltime() - begin;
}

/* ----------------------------------------------------------------------
   What a look means for the run: counts, files, an end, a listener.
------------------------------------------------------------------------- */

void FixDpgen::conclude()
{
  State &s = *state_;
  s.last_look = update->ntimestep;
  ++s.counts[static_cast<int>(s.frame_class)];
  if (s.frame || s.listener) measure_temperature();
  write_row();
  take_frame();
  decide_stop();
  if (s.listener) s.listener->looked(current_look());
}

/* ----------------------------------------------------------------------
   Spread per atom, the six figures and the class, on all ranks.
------------------------------------------------------------------------- */

void FixDpgen::judge()
{
  State &s = *state_;
  grow_spread();
  const auto &virials = s.runner->virials();
  const int n_models = static_cast<int>(virials.size()), nlocal = atom->nlocal;
  dpgen::force_spread(s.runner->forces(), nlocal, s.options.relative * s.units.force, vector_atom);

  dpgen::SpreadSummary mine;
  for (int i = 0; i < nlocal; ++i) {
    if ((atom->mask[i] & groupbit) && s.runner->sees(atom->type[i])) mine.add(vector_atom[i]);
    else vector_atom[i] = 0.0;
  }
  std::vector<double> sums{mine.sum, double(mine.count), double(mine.not_finite)}, totals(3 + 10 * n_models);
  for (const dpgen::Virial &virial : virials) sums.insert(sums.end(), virial.begin(), virial.end());
  for (const double *f : s.runner->forces()) sums.push_back(count_not_finite(f, 3 * nlocal));
  MPI_Allreduce(sums.data(), totals.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM, world);
  double extremes[2] = {mine.max, -mine.min}, all_extremes[2];
  MPI_Allreduce(extremes, all_extremes, 2, MPI_DOUBLE, MPI_MAX, world);

  dpgen::SpreadSummary all;
  all.sum = totals[0];
  all.count = std::lround(totals[1]);
  all.not_finite = std::lround(totals[2]);
  all.max = all_extremes[0];
  all.min = -all_extremes[1];
  all.finish(s.deviation);
  std::vector<dpgen::Virial> all_virials(n_models);
  for (int m = 0; m < n_models; ++m) std::copy_n(&totals[3 + 9 * m], 9, all_virials[m].begin());
  dpgen::virial_deviation(all_virials, std::max(1.0, double(atom->natoms)), s.options.relative_v * s.units.energy, s.deviation);
  to_run_units();

  s.frame_class = dpgen::classify(s.deviation.max_f, s.deviation.max_v, s.options.trust);
  if (!std::isfinite(s.deviation.max_v)) s.frame_class = FrameClass::failed;    // without vtrust too
  for (int m = 0; m < n_models; ++m)
    if (totals[3 + 9 * n_models + m] > 0.0) say_not_finite(m);
}

/* ----------------------------------------------------------------------
   Kinetic temperature of all atoms, at full-step velocities.
------------------------------------------------------------------------- */

void FixDpgen::measure_temperature()
{
  double mine = 0.0, mvv = 0.0;
  for (int i = 0; i < atom->nlocal; ++i) {
    const double *v = atom->v[i];
    const double mass = atom->rmass ? atom->rmass[i] : atom->mass[atom->type[i]];
    mine += mass * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  }
  MPI_Allreduce(&mine, &mvv, 1, MPI_DOUBLE, MPI_SUM, world);
  const double dof = std::max(1.0, 3.0 * double(atom->natoms) - 3.0);
  state_->temperature = mvv * force->mvv2e / (dof * force->boltz);
}

/* ---------------------------------------------------------------------- */

double FixDpgen::count_not_finite(const double *values, int n)
{
  double count = 0.0;
  for (int k = 0; k < n; ++k)
    if (!std::isfinite(values[k])) count += 1.0;
  return count;
}

/* ----------------------------------------------------------------------
   From the unit style of the run to eV/Angstrom and eV; 1 for relative figures.
------------------------------------------------------------------------- */

double FixDpgen::force_factor() const
{
  return state_->options.relative >= 0.0 ? 1.0 : state_->units.force;
}

double FixDpgen::virial_factor() const
{
  return state_->options.relative_v >= 0.0 ? 1.0 : state_->units.energy;
}

/* ----------------------------------------------------------------------
   Everything that a user sees is in the unit style of the run; relative
   deviations have no unit.
------------------------------------------------------------------------- */

void FixDpgen::to_run_units()
{
  State &s = *state_;
  dpgen::Deviation &d = s.deviation;
  const double f = 1.0 / force_factor(), v = 1.0 / virial_factor();
  for (double *figure : {&d.max_f, &d.min_f, &d.avg_f}) *figure *= f;
  for (double *figure : {&d.max_v, &d.min_v, &d.avg_v}) *figure *= v;
  for (int i = 0; i < atom->nlocal; ++i) vector_atom[i] *= f;
}

/* ---------------------------------------------------------------------- */

void FixDpgen::say_not_finite(int model)
{
  State &s = *state_;
  if (s.nan_said) return;
  s.nan_said = true;
  if (comm->me == 0)
    error->warning(FLERR, "Fix dpgen {}: model {} ({}) gives NaN or Inf at step {}; the frame counts as failed", id,
                   model + 1, s.options.models[model], update->ntimestep);
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
  const bool too_soon = s.last_taken >= 0 && s.last_taken <= update->ntimestep &&
      update->ntimestep - s.last_taken < s.options.min_gap;
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
  if (s.options.stop == FixDpgenOptions::Stop::never) return;
  if (s.frame_class == FrameClass::failed)
    s.stop = StopReason::failed;
  else if (s.options.stop == FixDpgenOptions::Stop::candidates && n_candidates >= s.options.stop_candidates)
    s.stop = StopReason::candidates;
  if (s.stop != StopReason::none) timer->force_timeout();
}

/* ---------------------------------------------------------------------- */

dpgen::Look FixDpgen::current_look() const
{
  const State &s = *state_;
  dpgen::Look look;
  look.step = update->ntimestep;
  look.last_step = update->endstep;
  look.time = (update->atime + (update->ntimestep - update->atimestep) * update->dt) * s.units.time;
  look.temperature = s.temperature;
  look.seconds = s.look_seconds;
  dpgen::Frame converted;
  converted.deviation = s.deviation;
  to_core_units(converted);
  look.deviation = converted.deviation;
  look.frame_class = s.frame_class;
  look.trust = s.options.trust;
  look.trust.force = {s.options.trust.force.lo * force_factor(), s.options.trust.force.hi * force_factor()};
  if (look.trust.virial)
    look.trust.virial = {s.options.trust.virial->lo * virial_factor(), s.options.trust.virial->hi * virial_factor()};
  return look;
}

/* ---------------------------------------------------------------------- */

void FixDpgen::post_run()
{
  State &s = *state_;
  if (s.stop == StopReason::none || s.listener || comm->me != 0) return;
  if (s.stop == StopReason::failed)
    utils::logmesg(lmp, "Fix dpgen {}: run stopped at step {}: failed frame, max_devi_f {:.6g} (trust {:g} {:g}), "
                   "max_devi_v {:.6g}; later run commands are skipped\n", id, update->ntimestep, s.deviation.max_f,
                   s.options.trust.force.lo, s.options.trust.force.hi, s.deviation.max_v);
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
  const double values[12] = {d.max_v, d.min_v, d.avg_v, d.max_f, d.min_f, d.avg_f, double(s.counts[0]),
                             double(s.counts[1]), double(s.counts[2]), double(static_cast<int>(s.stop)),
                             double(s.n_stored), double(s.n_dropped)};
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
      set_every(utils::inumeric(FLERR, arg[1], false, lmp));
      return 2;
    }
    for (const char *allowed : {"trust", "vtrust", "stop", "max_frames", "min_gap"})
      if (keyword == allowed) used = s.options.parse_keyword(narg, arg, atom->ntypes);
    s.options.check();
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
  const double numbers[n_restart] = {double(s.counts[0]), double(s.counts[1]), double(s.counts[2]), double(s.n_stored),
                                     double(s.n_dropped), double(s.last_look), double(s.last_taken), s.deviation.max_v,
                                     s.deviation.min_v, s.deviation.avg_v, s.deviation.max_f, s.deviation.min_f,
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

/* ---------------------------------------------------------------------- */

int FixDpgen::pack_reverse_comm(int n, int first, double *buffer)
{
  return state_->runner->pack_reverse(n, first, buffer);
}

void FixDpgen::unpack_reverse_comm(int n, int *list, double *buffer)
{
  state_->runner->unpack_reverse(n, list, buffer);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::grow_spread()
{
  if (vector_atom && atom->nmax <= n_spread_) return;
  memory->destroy(vector_atom);
  n_spread_ = std::max(1, atom->nmax);
  memory->create(vector_atom, n_spread_, "dpgen:spread");
  std::fill_n(vector_atom, n_spread_, 0.0);
}

double FixDpgen::memory_usage()
{
  return state_->runner->bytes() + n_spread_ * sizeof(double);
}

/* ---------------------------------------------------------------------- */

StopReason FixDpgen::stop_reason() const
{
  return state_->stop;
}

void FixDpgen::clear_stop()
{
  state_->stop = StopReason::none;
  timer->reset_timeout();
}

const std::vector<dpgen::Frame> &FixDpgen::held() const
{
  return state_->held;
}

int FixDpgen::n_held() const
{
  return state_->n_held;
}

const dpgen::Frame *FixDpgen::failed_frame() const
{
  return state_->failed ? &*state_->failed : nullptr;
}

long FixDpgen::n_dropped() const
{
  return state_->n_dropped_since;
}

void FixDpgen::drop_held()
{
  state_->held.clear();
  state_->n_held = 0;
  state_->failed.reset();
  state_->n_dropped_since = 0;
}

void FixDpgen::set_listener(LookListener *listener)
{
  state_->listener = listener;
}

void FixDpgen::set_every(int n)
{
  if (n < 1) error->all(FLERR, "Fix dpgen {}: looks every {} steps; N must be at least 1", id, n);
  state_->every = n;
  peratom_freq = n;
}

int FixDpgen::every() const
{
  return state_->every;
}

void FixDpgen::reload_models(const std::shared_ptr<dpgen::Ensemble> &at_hand)
{
  State &s = *state_;
  std::string message;
  try {
    std::shared_ptr<dpgen::Ensemble> ensemble = at_hand;
    if (!ensemble || !has_content(*ensemble, s.options.models))
      ensemble = dpgen::load_ensemble(s.options.models, {s.device, {}});
    if (3 * ensemble->n_models() != comm_reverse) throw dpgen::ModelError("another number of models after a reload");
    s.runner = std::make_unique<EnsembleRunner>(lmp, std::move(ensemble), s.options.types);
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(message);
  s.captured = false;
  s.last_look = -1;    // the frame at hand is looked at again, with the new models
}

const std::vector<std::string> &FixDpgen::model_hashes() const
{
  return state_->runner->ensemble().hashes();
}

double FixDpgen::driver_difference() const
{
  return state_->runner->reuse_difference();
}

const std::vector<std::string> &FixDpgen::types() const
{
  return state_->options.types;
}

void FixDpgen::gather(dpgen::Frame &frame)
{
  const State &s = *state_;
  frame = dpgen::Frame();
  gather_frame(lmp, vector_atom, s.options.types, frame);
  frame.temperature = s.temperature;
  frame.deviation = s.deviation;
  frame.frame_class = s.frame_class;
  frame.fix_id = id;
  frame.model_hashes = s.runner->ensemble().hashes();
  to_core_units(frame);
}
