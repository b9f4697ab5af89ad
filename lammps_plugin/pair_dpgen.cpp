// The pair style in the loop: forces, energies and virials of the model that leads, or of the mean of all.
#include "pair_dpgen_state.h"

#include "fail_together.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cstring>

using namespace LAMMPS_NS;

/* ---------------------------------------------------------------------- */

PairDpgen::PairDpgen(LAMMPS *lmp) : Pair(lmp), state_(std::make_unique<State>())
{
  if (!units_known(update->unit_style))
    error->all(FLERR, "Pair style dpgen: units {} cannot be converted to eV and Angstrom; use units metal or real",
               update->unit_style);
  state_->units = units_of(*force);
  single_enable = 0;
  restartinfo = 1;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;    // the models give their virial
  centroidstressflag = CENTROID_AVAIL;
}

PairDpgen::~PairDpgen()
{
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

void PairDpgen::allocate()
{
  allocated = 1;
  const int n = atom->ntypes;
  memory->create(setflag, n + 1, n + 1, "pair:setflag");
  memory->create(cutsq, n + 1, n + 1, "pair:cutsq");
  for (int i = 0; i <= n; ++i) std::fill_n(setflag[i], n + 1, 0);
}

/* ---------------------------------------------------------------------- */

void PairDpgen::init_style()
{
  State &s = *state_;
  load_restarted();
  if (!s.runner) error->all(FLERR, "Pair style dpgen: its pair_coeff command is missing: pair_coeff * * element ...");
  if (!force->newton_pair)
    error->all(
        FLERR,
        "Pair style dpgen: newton is off for pairs, but the models' forces on ghost atoms must be summed up; use "
        "'newton on'");
  if (atom->molecular != Atom::ATOMIC)
    for (int k = 1; k < 4; ++k)
      if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0)
        error->all(FLERR,
                   "Pair style dpgen: special_bonds drops 1-{} neighbors from the list that the models need; use "
                   "'special_bonds lj/coul 1 1 1' (or 1.0e-50 where a factor must vanish)",
                   k + 1);
  neighbor->add_request(this, NeighConst::REQ_FULL);
  s.covered.assign(static_cast<std::size_t>(atom->ntypes + 1) * (atom->ntypes + 1), false);
  s.plans.clear();    // the fixes that are still there add theirs when they are initialized
}

void PairDpgen::init_list(int, NeighList *neighbor_list)
{
  list = neighbor_list;
  state_->runner->use_list(neighbor_list);
}

/* ----------------------------------------------------------------------
   LAMMPS comes here for the pairs of types that it leaves to this style.
------------------------------------------------------------------------- */

double PairDpgen::init_one(int i, int j)
{
  State &s = *state_;
  const std::size_t n = static_cast<std::size_t>(atom->ntypes + 1);
  s.covered[i * n + j] = s.covered[j * n + i] = true;
  return s.runner->ensemble().cutoff() / s.units.length;
}

/* ---------------------------------------------------------------------- */

void PairDpgen::compute(int eflag, int vflag)
{
  State &s = *state_;
  ev_init(eflag, vflag);
  dpgen::PerAtom *per_atom = nullptr;
  if (eflag_atom || vflag_atom || cvflag_atom) {
    per_atom = &s.per_atom;
    per_atom->model = s.options.lead == PairDpgenOptions::mean ? dpgen::PerAtom::mean : s.options.lead;
    per_atom->wants_virials = vflag_atom || cvflag_atom;
  }
  const std::string message =
      wants_all() ? s.runner->evaluate_all(per_atom) : s.runner->evaluate_one(s.options.lead, per_atom);
  fail_together(lmp, "Pair style dpgen", message);
  add_forces();
  add_energy_and_virial();
  if (per_atom) add_per_atom();
}

/* ----------------------------------------------------------------------
   The model that leads is enough where nobody looks at the others.
------------------------------------------------------------------------- */

bool PairDpgen::wants_all() const
{
  const State &s = *state_;
  if (s.options.lead == PairDpgenOptions::mean) return true;
  return std::any_of(s.plans.begin(), s.plans.end(), [&](const std::weak_ptr<const dpgen::LookPlan> &held) {
    const auto plan = held.lock();
    return plan && plan->looks_at(update->ntimestep);
  });
}

/* ---------------------------------------------------------------------- */

void PairDpgen::add_forces()
{
  const State &s = *state_;
  const std::size_t n = 3 * static_cast<std::size_t>(atom->nlocal + atom->nghost);
  if (n == 0) return;
  const auto [first, last] = s.leaders();
  const double factor = s.factor(s.units.force);
  double *f = atom->f[0];
  for (int m = first; m < last; ++m) {
    const double *forces = s.runner->prediction(m).forces.data();
    for (std::size_t k = 0; k < n; ++k) f[k] += factor * forces[k];
  }
}

void PairDpgen::add_energy_and_virial()
{
  const State &s = *state_;
  const double factor = s.factor(s.units.energy);
  const auto [first, last] = s.leaders();
  for (int m = first; m < last; ++m) {
    const dpgen::Prediction &prediction = s.runner->prediction(m);
    if (eflag_global) eng_vdwl += factor * prediction.energy;
    for (int k = 0; k < 6 && vflag_global; ++k) virial[k] += factor * prediction.virial[voigt[k]];
  }
}

/* ----------------------------------------------------------------------
   Virials are not symmetric for an atom; compute stress/atom has room for
   the symmetric part only.
------------------------------------------------------------------------- */

void PairDpgen::add_per_atom()
{
  const State &s = *state_;
  const double factor = s.scale / s.units.energy;    // PerAtom is of the mean already
  const int n_local = atom->nlocal, n_all = n_local + atom->nghost;
  for (int i = 0; i < n_local && eflag_atom; ++i) eatom[i] += factor * s.per_atom.energies[i];
  for (int i = 0; i < n_all && vflag_atom; ++i)
    for (int k = 0; k < 6; ++k)
      vatom[i][k] += 0.5 * factor * (s.per_atom.virials[9 * i + voigt[k]] + s.per_atom.virials[9 * i + transposed[k]]);
  for (int i = 0; i < n_all && cvflag_atom; ++i) {
    for (int k = 0; k < 6; ++k) cvatom[i][k] += factor * s.per_atom.virials[9 * i + voigt[k]];
    for (int k = 3; k < 6; ++k) cvatom[i][k + 3] += factor * s.per_atom.virials[9 * i + transposed[k]];
  }
}

/* ----------------------------------------------------------------------
   A factor for fix adapt.
------------------------------------------------------------------------- */

void *PairDpgen::extract(const char *name, int &dimension)
{
  dimension = 0;
  return std::strcmp(name, "scale") == 0 ? &state_->scale : nullptr;
}

double PairDpgen::memory_usage()
{
  return Pair::memory_usage() + (state_->runner ? state_->runner->bytes() : 0.0);
}
