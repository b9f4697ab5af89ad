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
#include <cmath>

namespace LAMMPS_NS {

namespace {

// Forces of one double-precision model on the same atoms and neighbours differ by rounding only, about 1e-13 eV/Å;
// those of another model, or with something added, by far more.
constexpr double reuse_tolerance = 1e-8;    // eV/Å

std::string joined(const std::vector<std::string> &words)
{
  std::string text;
  for (const std::string &word : words) text += " " + word;
  return text;
}

}    // namespace

EnsembleRunner::EnsembleRunner(LAMMPS *lmp, std::shared_ptr<dpgen::Ensemble> ensemble,
                               const std::vector<std::string> &types) :
    Pointers(lmp), ensemble_(std::move(ensemble)), units_(units_of(*lmp->force)), model_types_(types.size() + 1, -1),
    predictions_(ensemble_->n_models()), virials_(ensemble_->n_models())
{
  for (std::size_t t = 0; t < types.size(); ++t) {
    if (types[t] == "NULL") continue;
    model_types_[t + 1] = ensemble_->type_index(types[t]);
    if (model_types_[t + 1] < 0)
      throw dpgen::InputError("keyword types: element '" + types[t] + "' of LAMMPS type " + std::to_string(t + 1) +
                              " is not in the models' type map:" + joined(ensemble_->type_map()));
  }
}

void EnsembleRunner::capture_pair_forces()
{
  const double *f = atom->f[0];
  captured_.resize(3 * static_cast<std::size_t>(atom->nlocal + atom->nghost));
  for (std::size_t k = 0; k < captured_.size(); ++k) captured_[k] = f[k] * units_.force;
}

void EnsembleRunner::add_pair_forces()
{
  const double *f = atom->f[0];
  const std::size_t n = 3 * static_cast<std::size_t>(atom->nlocal + atom->nghost);
  for (std::size_t k = 0; k < std::min(n, captured_.size()); ++k) captured_[k] += f[k] * units_.force;
}

void EnsembleRunner::decide_reuse(bool allowed)
{
  double difference = 0.0;
  const std::vector<double> &own = predictions_[0].forces;
  if (own.size() == captured_.size()) {
    for (std::size_t k = 0; k < own.size(); ++k) {
      const double d = std::abs(own[k] - captured_[k]);
      difference = std::isfinite(d) ? std::max(difference, d) : HUGE_VAL;
    }
  } else {
    difference = HUGE_VAL;
  }
  MPI_Allreduce(&difference, &reuse_difference_, 1, MPI_DOUBLE, MPI_MAX, world);
  reuse_ = allowed && reuse_difference_ <= reuse_tolerance;
}

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
  const double *h = domain->h;    // xx yy zz yz xz xy
  const double rows[9] = {h[0], 0.0, 0.0, h[5], h[1], 0.0, h[4], h[3], h[2]};
  for (int k = 0; k < 9; ++k) cell_[k] = rows[k] * units_.length;
}

// For a potential of atom positions the virial is the sum of r ⊗ f over local atoms and ghosts, before ghosts are
// summed up.
void EnsembleRunner::virial_from_forces(const std::vector<double> &forces, dpgen::Virial &virial) const
{
  virial.fill(0.0);
  for (std::size_t i = 0; i < forces.size(); i += 3)
    for (int a = 0; a < 3; ++a)
      for (int b = 0; b < 3; ++b) virial[3 * a + b] += positions_[i + a] * forces[i + b];
}

std::string EnsembleRunner::evaluate(NeighList *list, bool use_captured, int n_models)
{
  view_atoms();
  const dpgen::AtomsView atoms{atom->nlocal, atom->nghost, positions_.data(), types_.data(), cell_};
  // A model that skipped a step may hold a list of atoms that have since been sorted or exchanged.
  const bool is_new = neighbor->ago == 0 || update->ntimestep != last_step_ + 1;
  last_step_ = n_models == ensemble_->n_models() ? update->ntimestep : never;
  const dpgen::NeighborView neighbors{list->inum, list->ilist, list->numneigh, list->firstneigh, NEIGHMASK, is_new};
  for (int m = 0; m < n_models; ++m) {
    dpgen::Prediction &prediction = predictions_[m];
    if (m == 0 && use_captured) {
      prediction.forces = captured_;
      virial_from_forces(prediction.forces, prediction.virial);
    } else {
      try {
        ensemble_->evaluate(m, atoms, neighbors, prediction);
      } catch (const std::exception &error) {
        prediction.forces.assign(3 * static_cast<std::size_t>(atoms.n_local + atoms.n_ghost), 0.0);
        last_step_ = never;
        return error.what();
      }
    }
    virials_[m] = prediction.virial;
  }
  return {};
}

void EnsembleRunner::sum_ghost_forces(Fix *fix)
{
  comm->reverse_comm(fix);
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

double EnsembleRunner::bytes() const
{
  double bytes = static_cast<double>((positions_.capacity() + captured_.capacity()) * sizeof(double));
  for (const dpgen::Prediction &prediction : predictions_)
    bytes += static_cast<double>(prediction.forces.capacity() * sizeof(double));
  return bytes;
}

}    // namespace LAMMPS_NS
