// The fix in the loop: what it needs of the run, when it looks, and what follows.
#include "fix_dpgen_state.h"

#include "fail_together.h"
#include "look_listener.h"
#include "neigh_request.h"
#include "node_rank.h"
#include "replica_drivers.h"

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

using namespace LAMMPS_NS;
using namespace FixConst;
using dpgen::FrameClass;
using dpgen::StopReason;

namespace {

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

FixDpgen::FixDpgen(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), state_(std::make_unique<State>(lmp))
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
    check_group();
    s.device = rank_on_node(world);
    choose_models();
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(message);

  // LAMMPS calls at every step, so that set_every() holds at once; the fix itself leaves out the steps in between.
  nevery = 1;
  s.plan = std::make_shared<dpgen::LookPlan>(s.options.every, s.options.adaptive ? s.options.budget : 0.0);
  peratom_freq = s.options.every;
  comm_reverse = 3 * s.runner->n_models();
  grow_spread();
}

/* ---------------------------------------------------------------------- */

void FixDpgen::check_group() const
{
  if (state_->options.trust.virial && igroup != 0)
    throw dpgen::InputError("vtrust with group '" + std::string(group->names[igroup]) +
                            "': the virial belongs to all atoms; use group all or no vtrust");
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

void FixDpgen::fail_together(const std::string &message)
{
  LAMMPS_NS::fail_together(lmp, "Fix dpgen " + std::string(id), message);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::init()
{
  State &s = *state_;
  note_driver();
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
  s.plan->begin(update->ntimestep);
  s.look_end = platform::walltime();
  share_models();
  if (!s.shares) request_list();
  open_files();
  if (group->count(igroup) == 0.0 && atom->natoms > 0)
    error->all(FLERR, "Fix dpgen {}: group '{}' has no atoms", id, group->names[igroup]);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::request_list()
{
  const State &s = *state_;
  const double cutoff = s.runner->ensemble().cutoff() / s.units.length;
  // LAMMPS would make the half lists of r-RESPA's inner and outer forces out of a full one that is always there, and
  // cannot: with r-RESPA the list is built when it is needed.
  const int when = s.respa ? NeighConst::REQ_OCCASIONAL : 0;
  auto *request = neighbor->add_request(this, NeighConst::REQ_FULL | when);
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
}

/* ----------------------------------------------------------------------
   LAMMPS' input still holds the words of the command that drives the atoms.
   A rerun cannot be stopped, and a stop must not wait for later commands.
   A replica that stops alone would leave the others waiting for it.
------------------------------------------------------------------------- */

void FixDpgen::note_driver()
{
  State &s = *state_;
  const std::string driver = lmp->input->command ? lmp->input->command : "";
  s.rerun = driver == "rerun";
  for (const char *name : replica_drivers)
    if (driver == name && s.options.stop != FixDpgenOptions::Stop::never)
      error->all(FLERR, "Fix dpgen {}: command {} cannot end cleanly when one replica does; use 'stop never'", id,
                 driver);
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
  state_->runner->use_list(list);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::setup_pre_reverse(int, int)
{
  State &s = *state_;
  s.reuses = false;
  // r-RESPA comes here once per level; what the levels have in common is the pair style.
  const bool next_level = s.respa && s.captured;
  s.captured = force->pair;
  if (next_level) s.driver.add();
  else if (s.captured) s.driver.capture();
  // Later another fix may have summed up the forces that the pair style shares.
  if (s.captured && s.shares) compare_driver();
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
  if (!s.rerun || !s.under_way) {    // a rerun sets up every frame
    s.stored_in_run = 0;
    s.nan_said = false;
    s.stop = StopReason::none;
  }
  s.under_way = true;
  if (!look_step() && (!s.captured || s.shares)) {
    s.captured = false;
    return;
  }
  evaluate(true);
  s.captured = false;
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
  state_->reuses = false;
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
  s.captured = s.reuses;
  if (s.captured) s.driver.capture();
  evaluate(false);
  judge();
  collect_frame();
}

/* ----------------------------------------------------------------------
   r-RESPA computes forces several times in a step: the end counts.
------------------------------------------------------------------------- */

void FixDpgen::end_of_step()
{
  State &s = *state_;
  if (!due()) {
    if (s.plan->adaptive()) forget_spread();
    return;
  }
  if (s.respa) {
    s.captured = false;
    evaluate(false);
    judge();
    collect_frame();
  }
  conclude();
}

/* ----------------------------------------------------------------------
   Between the looks of an adaptive stride atoms may change places and
   ranks, and no dump could know when not to ask.
------------------------------------------------------------------------- */

void FixDpgen::forget_spread()
{
  if (!state_->spread_valid) return;
  state_->spread_valid = false;
  grow_spread();
  std::fill_n(vector_atom, n_spread_, 0.0);
}

/* ---------------------------------------------------------------------- */

bool FixDpgen::look_step() const
{
  return state_->plan->looks_at(update->ntimestep);
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
  plan_next_look();
  if (s.listener) s.listener->looked(current_look());
}

/* ----------------------------------------------------------------------
   Rank 0's clock counts.
------------------------------------------------------------------------- */

void FixDpgen::plan_next_look()
{
  State &s = *state_;
  if (!s.plan->adaptive()) return;
  double ratio = s.deviation.max_f / s.options.trust.force.lo;
  if (s.options.trust.virial) ratio = std::max(ratio, s.deviation.max_v / s.options.trust.virial->lo);
  if (s.frame_class != FrameClass::accurate) ratio = HUGE_VAL;
  const double now = platform::walltime();
  bigint next = s.plan->next_after(update->ntimestep, {ratio, s.look_seconds, now - s.look_end - s.look_seconds});
  MPI_Bcast(&next, 1, MPI_LMP_BIGINT, 0, world);
  s.plan->set_next(update->ntimestep, next);
  s.look_end = now;
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
  return (state_->shares ? 0.0 : state_->runner->bytes()) + state_->driver.bytes() + n_spread_ * sizeof(double);
}
