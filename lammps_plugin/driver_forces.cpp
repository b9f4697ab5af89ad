#include "driver_forces.h"

#include "units.h"

#include "atom.h"
#include "force.h"

#include <algorithm>

namespace LAMMPS_NS {

namespace {

// Forces of one double-precision model on the same atoms and neighbours differ by rounding only, about 1e-13 eV/Å;
// those of another model, or with something added, by far more.
constexpr double same_model = 1e-8;    // eV/Å

}    // namespace

void DriverForces::capture()
{
  forces_.assign(3 * static_cast<std::size_t>(atom->nlocal + atom->nghost), 0.0);
  add();
}

void DriverForces::add()
{
  const std::size_t n = 3 * static_cast<std::size_t>(atom->nlocal + atom->nghost);
  if (n == 0) return;
  const double *f = atom->f[0];
  const double factor = units_of(*force).force;
  for (std::size_t k = 0; k < std::min(n, forces_.size()); ++k) forces_[k] += f[k] * factor;
}

void DriverForces::compare(const std::vector<double> &model_1)
{
  double difference = model_1.size() == forces_.size() ? 0.0 : HUGE_VAL;
  for (std::size_t k = 0; k < std::min(model_1.size(), forces_.size()); ++k) {
    const double d = std::abs(model_1[k] - forces_[k]);
    difference = std::isfinite(d) ? std::max(difference, d) : HUGE_VAL;
  }
  MPI_Allreduce(&difference, &difference_, 1, MPI_DOUBLE, MPI_MAX, world);
}

bool DriverForces::are_model_1() const
{
  return difference_ <= same_model;
}

}    // namespace LAMMPS_NS
