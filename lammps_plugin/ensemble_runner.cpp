#include "ensemble_runner.h"

#include "errors.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "fix.h"
#include "force.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <numeric>

namespace LAMMPS_NS {

namespace {

std::string joined(const std::vector<std::string> &words)
{
  std::string text;
  for (const std::string &word : words) text += " " + word;
  return text;
}

void cell_rows(const Domain &domain, double length, double *rows)
{
  const double *h = domain.h;    // xx yy zz yz xz xy
  const double values[9] = {h[0], 0.0, 0.0, h[5], h[1], 0.0, h[4], h[3], h[2]};
  for (int k = 0; k < 9; ++k) rows[k] = values[k] * length;
}

// For a potential of atom positions the virial is the sum of r ⊗ f over local atoms and ghosts, before ghosts are
// summed up.
dpgen::Virial virial_of(const std::vector<double> &forces, const std::vector<double> &positions)
{
  dpgen::Virial virial{};
  for (std::size_t i = 0; i < forces.size(); i += 3)
    for (int a = 0; a < 3; ++a)
      for (int b = 0; b < 3; ++b) virial[3 * a + b] += positions[i + a] * forces[i + b];
  return virial;
}

}    // namespace

EnsembleRunner::EnsembleRunner(LAMMPS *lmp, std::shared_ptr<dpgen::Ensemble> ensemble,
                               const std::vector<std::string> &types, const std::string &keyword) :
    Pointers(lmp), elements_(types), keyword_(keyword), units_(units_of(*lmp->force)),
    model_types_(types.size() + 1, -1)
{
  replace(std::move(ensemble));
}

void EnsembleRunner::replace(std::shared_ptr<dpgen::Ensemble> ensemble)
{
  map_types(*ensemble);
  ensemble_ = std::move(ensemble);
  ensemble_->set_threads(comm->nthreads);    // package omp, or OMP_NUM_THREADS
  predictions_.assign(ensemble_->n_models(), {});
  forget();
}

void EnsembleRunner::map_types(const dpgen::Ensemble &ensemble)
{
  for (std::size_t t = 0; t < elements_.size(); ++t) {
    if (elements_[t] == "NULL") continue;
    model_types_[t + 1] = ensemble.type_index(elements_[t]);
    if (model_types_[t + 1] < 0)
      throw dpgen::InputError(keyword_ + ": element '" + elements_[t] + "' of LAMMPS type " + std::to_string(t + 1) +
                              " is not in the models' type map:" + joined(ensemble.type_map()));
  }
}

void EnsembleRunner::forget()
{
  last_steps_.assign(predictions_.size(), never);
  held_ = none;
  fresh_ = false;
}

/* ---------------------------------------------------------------------- */

void EnsembleRunner::view_atoms()
{
  const int n_all = atom->nlocal + atom->nghost;
  positions_.resize(3 * static_cast<std::size_t>(n_all));
  types_.resize(n_all);
  double **x = atom->x;
  for (int i = 0; i < n_all; ++i) {
    types_[i] = model_types_[atom->type[i]];
    for (int d = 0; d < 3; ++d) positions_[3 * i + d] = (x[i][d] - domain->boxlo[d]) * units_.length;
  }
  cell_rows(*domain, units_.length, cell_);
}

bool EnsembleRunner::holds_all() const
{
  const std::size_t n_all = static_cast<std::size_t>(atom->nlocal + atom->nghost);
  if (held_ != all || types_.size() != n_all) return false;
  double cell[9];
  cell_rows(*domain, units_.length, cell);
  if (!std::equal(cell, cell + 9, cell_)) return false;
  double **x = atom->x;
  for (std::size_t i = 0; i < n_all; ++i) {
    if (types_[i] != model_types_[atom->type[i]]) return false;
    for (int d = 0; d < 3; ++d)
      if (positions_[3 * i + d] != (x[i][d] - domain->boxlo[d]) * units_.length) return false;
  }
  return true;
}

/* ---------------------------------------------------------------------- */

dpgen::AtomsView EnsembleRunner::atoms_view() const
{
  return {atom->nlocal, atom->nghost, positions_.data(), types_.data(), cell_};
}

// A model that skipped a step may hold a list of atoms that have since been sorted or exchanged.
dpgen::NeighborView EnsembleRunner::neighbor_view(int first, int last)
{
  if (!list_) throw dpgen::InputError("the models have no neighbor list yet; the run needs a set-up (run ... pre yes)");
  bool is_new = neighbor->ago == 0 || list_->occasional != 0;
  for (int m = first; m < last; ++m) {
    is_new = is_new || update->ntimestep != last_steps_[m] + 1;
    last_steps_[m] = update->ntimestep;
  }
  if (list_->inum == atom->nlocal)
    return {list_->inum, list_->ilist, list_->numneigh, list_->firstneigh, NEIGHMASK, is_new};
  complete_list();
  return {atom->nlocal, all_atoms_.data(), n_neighbors_.data(), neighbors_.data(), NEIGHMASK, is_new};
}

// In a hybrid style the list leaves out the atoms of other sub-styles; DeePMD-kit wants all local atoms in it.
void EnsembleRunner::complete_list()
{
  const std::size_t n = static_cast<std::size_t>(atom->nlocal);
  all_atoms_.resize(n);
  std::iota(all_atoms_.begin(), all_atoms_.end(), 0);
  n_neighbors_.assign(n, 0);
  neighbors_.assign(n, all_atoms_.data());
  for (int k = 0; k < list_->inum; ++k) {
    const int i = list_->ilist[k];
    n_neighbors_[i] = list_->numneigh[i];
    neighbors_[i] = list_->firstneigh[i];
  }
}

// Calls `act`; after an error the forces are there, as zeros, since other ranks will ask for them.
template <typename Act> std::string EnsembleRunner::evaluate(int models, Act act)
{
  const double begin = platform::walltime();
  view_atoms();
  held_ = models;
  fresh_ = true;
  try {
    act();
  } catch (const std::exception &error) {
    forget();
    predictions_.resize(ensemble_->n_models());
    for (dpgen::Prediction &prediction : predictions_) prediction.forces.assign(positions_.size(), 0.0);
    return error.what();
  }
  seconds_ = platform::walltime() - begin;
  return {};
}

std::string EnsembleRunner::evaluate_all(dpgen::PerAtom *per_atom)
{
  return evaluate(all, [&] {
    const auto neighbors = neighbor_view(0, n_models());
    ensemble_->evaluate_all(atoms_view(), neighbors, n_models(), predictions_, per_atom);
  });
}

std::string EnsembleRunner::evaluate_one(int model, dpgen::PerAtom *per_atom)
{
  return evaluate(n_models() == 1 ? all : model, [&] {
    ensemble_->evaluate(model, atoms_view(), neighbor_view(model, model + 1), predictions_[model], per_atom);
  });
}

std::string EnsembleRunner::evaluate_others(const std::vector<double> &forces_of_first)
{
  return evaluate(all, [&] {
    predictions_[0].forces = forces_of_first;
    predictions_[0].virial = virial_of(forces_of_first, positions_);
    for (int m = 1; m < n_models(); ++m) ensemble_->evaluate(m, atoms_view(), neighbor_view(m, m + 1), predictions_[m]);
  });
}

/* ---------------------------------------------------------------------- */

void EnsembleRunner::sum_ghost_forces(Fix *fix)
{
  if (fresh_) comm->reverse_comm(fix);
  fresh_ = false;
}

int EnsembleRunner::pack_reverse(int n, int first, double *buffer) const
{
  int m = 0;
  for (const dpgen::Prediction &prediction : predictions_)
    for (int k = 3 * first; k < 3 * (first + n); ++k) buffer[m++] = prediction.forces[k];
  return m;
}

void EnsembleRunner::unpack_reverse(int n, const int *list, const double *buffer)
{
  int m = 0;
  for (dpgen::Prediction &prediction : predictions_)
    for (int i = 0; i < n; ++i)
      for (int d = 0; d < 3; ++d) prediction.forces[3 * list[i] + d] += buffer[m++];
}

std::vector<const double *> EnsembleRunner::forces() const
{
  std::vector<const double *> pointers;
  for (const dpgen::Prediction &prediction : predictions_) pointers.push_back(prediction.forces.data());
  return pointers;
}

std::vector<dpgen::Virial> EnsembleRunner::virials() const
{
  std::vector<dpgen::Virial> virials;
  for (const dpgen::Prediction &prediction : predictions_) virials.push_back(prediction.virial);
  return virials;
}

double EnsembleRunner::bytes() const
{
  double bytes = static_cast<double>(positions_.capacity() * sizeof(double));
  for (const dpgen::Prediction &prediction : predictions_)
    bytes += static_cast<double>(prediction.forces.capacity() * sizeof(double));
  return bytes;
}

}    // namespace LAMMPS_NS
