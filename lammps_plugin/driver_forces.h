// The forces of the pair style that drives a run, as it made them, and whether they are those of model 1.
#ifndef DPGEN_DRIVER_FORCES_H
#define DPGEN_DRIVER_FORCES_H

#include "pointers.h"

#include <cmath>
#include <vector>

namespace LAMMPS_NS {

class DriverForces : protected Pointers {
 public:
  explicit DriverForces(LAMMPS *lmp) : Pointers(lmp) {}

  /// Copies the pair style's forces of this rank (local and ghost), before anyone changes them.
  void capture();
  /// Adds the pair style's forces at another level of r-RESPA to those that were captured.
  void add();
  /// Compares model 1's forces (ghosts' not summed up) with the captured ones on all ranks. Collective.
  void compare(const std::vector<double> &model_1);

  /// Forces of local atoms and ghosts at the last capture(), eV/Å.
  const std::vector<double> &forces() const { return forces_; }
  /// Largest difference to model 1 at the last compare(), eV/Å; Inf before any.
  double difference() const { return difference_; }
  /// True if they differ by rounding only.
  bool are_model_1() const;

  double bytes() const { return static_cast<double>(forces_.capacity() * sizeof(double)); }

 private:
  std::vector<double> forces_;
  double difference_ = HUGE_VAL;
};

}    // namespace LAMMPS_NS

#endif
