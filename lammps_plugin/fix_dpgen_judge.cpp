// What the models say of a frame: forces of all models, their spread, the six figures and the class.
#include "fix_dpgen_state.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using dpgen::FrameClass;

void FixDpgen::evaluate(bool at_setup)
{
  State &s = *state_;
  const double begin = platform::walltime();
  s.look_seconds = 0.0;
  if (s.shares) {
    evaluate_shared();
  } else {
    fail_together(evaluate_own(at_setup));
    if (at_setup && s.captured) {
      compare_driver();
      s.reuses = s.driver.are_model_1() && !s.respa && only_pair_forces() && !s.runner->ensemble().evaluates_together();
    }
  }
  if (look_step()) s.runner->sum_ghost_forces(this);
  s.look_seconds += platform::walltime() - begin;
}

/* ----------------------------------------------------------------------
   The models on the atoms as they are. At setup the pair style's forces
   are compared with model 1, which is all that is asked between two looks.
------------------------------------------------------------------------- */

std::string FixDpgen::evaluate_own(bool at_setup)
{
  State &s = *state_;
  if (s.respa) neighbor->build_one(s.runner->list());
  if (!look_step()) return s.runner->evaluate_one(0);
  if (at_setup || !s.captured) return s.runner->evaluate_all();
  return s.runner->evaluate_others(s.driver.forces());
}

/* ----------------------------------------------------------------------
   The pair style has asked the models in this step already, unless a fix
   has moved atoms since, or looks where it did not say so.
------------------------------------------------------------------------- */

void FixDpgen::evaluate_shared()
{
  State &s = *state_;
  const int mine = !s.runner->holds_all();
  int any = 0;
  MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, world);
  if (any) fail_together(s.runner->evaluate_all());
  else s.look_seconds = s.runner->seconds_of_others();
}

/* ----------------------------------------------------------------------
   Nothing to compare with where model 1 has not been asked.
------------------------------------------------------------------------- */

void FixDpgen::compare_driver()
{
  State &s = *state_;
  static const std::vector<double> unknown;
  s.driver.compare(s.runner->is_fresh(0) ? s.runner->prediction(0).forces : unknown);
}

/* ----------------------------------------------------------------------
   Spread per atom, the six figures and the class, on all ranks.
------------------------------------------------------------------------- */

void FixDpgen::judge()
{
  State &s = *state_;
  grow_spread();
  s.spread_valid = true;
  const std::vector<dpgen::Virial> virials = s.runner->virials();
  const std::vector<const double *> forces = s.runner->forces();
  const int n_models = s.runner->n_models(), nlocal = atom->nlocal;
  dpgen::force_spread(forces, nlocal, s.options.relative * s.units.force, vector_atom);

  dpgen::SpreadSummary mine;
  for (int i = 0; i < nlocal; ++i) {
    if ((atom->mask[i] & groupbit) && s.runner->sees(atom->type[i])) mine.add(vector_atom[i]);
    else vector_atom[i] = 0.0;
  }
  std::vector<double> sums{mine.sum, double(mine.count), double(mine.not_finite)}, totals(3 + 10 * n_models);
  for (const dpgen::Virial &virial : virials) sums.insert(sums.end(), virial.begin(), virial.end());
  for (const double *f : forces) sums.push_back(count_not_finite(f, 3 * nlocal));
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
