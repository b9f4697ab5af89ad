// The fix in the loop: when it looks, what the models say, and which class of frame that is.
#include "fix_dpgen_state.h"

#include "look_listener.h"
#include "neigh_request.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "memory.h"
#include "modify.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "timer.h"
#include "update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using namespace FixConst;
using dpgen::FrameClass;
using dpgen::StopReason;

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
  if (domain->dimension != 3)
    error->all(FLERR, "Fix dpgen {}: dimension {}; only 3d is possible", id, domain->dimension);

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
    s.runner =
        std::make_unique<EnsembleRunner>(lmp, dpgen::load_ensemble(s.options.models, {s.device, {}}), s.options.types);
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
                   "'special_bonds lj/coul 1 1 1' (or 1.0e-50 where a factor must vanish)",
                   id, k + 1);

  if (!force->newton_pair)
    error->all(FLERR,
               "Fix dpgen {}: newton is off for pairs, but the models' forces on ghost atoms must be summed up; use "
               "'newton on'",
               id);
  if (neighbor->nex_type + neighbor->nex_group + neighbor->nex_mol > 0 && comm->me == 0)
    error->warning(FLERR, "Fix dpgen {}: pairs are excluded from the neighbor lists; the models do not see them", id);

  s.respa = utils::strmatch(update->integrate_style, "^respa");
  auto *request = neighbor->add_request(this, NeighConst::REQ_FULL);
  if (shortest_pair_cutoff() < cutoff * (1.0 - 1e-10)) {    // 1e-10: square roots
    // LAMMPS wants a list of its own to end one skin before the ghosts do.
    const double needed = cutoff + 2.0 * neighbor->skin;
    const double reach = std::max(comm->cutghostuser, force->pair ? force->pair->cutforce + neighbor->skin : 0.0);
    if (reach < needed)
      error->all(FLERR,
                 "Fix dpgen {}: the communication cutoff is {:.4f}, the models need {:.4f} with two neighbor skins "
                 "beside this pair style; add 'comm_modify cutoff {:.4f}'",
                 id, reach, needed, needed);
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
  return !utils::strmatch(force->pair_style, "^hybrid") && !force->bond && !force->angle && !force->dihedral &&
      !force->improper && !force->kspace && modify->get_fix_by_style("^adapt").empty();
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
  dpgen::virial_deviation(all_virials, std::max(1.0, double(atom->natoms)), s.options.relative_v * s.units.energy,
                          s.deviation);
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
