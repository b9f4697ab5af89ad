// What pair_style dpgen keeps; for the files pair_dpgen*.cpp alone.
#ifndef DPGEN_PAIR_DPGEN_STATE_H
#define DPGEN_PAIR_DPGEN_STATE_H

#include "pair_dpgen.h"

#include "ensemble_runner.h"
#include "look_plan.h"
#include "pair_dpgen_options.h"
#include "units.h"

#include <utility>

namespace LAMMPS_NS {

// Where the components xx yy zz xy xz yz are in DeePMD-kit's 3x3 virial, and those of its transpose.
inline constexpr int voigt[6] = {0, 4, 8, 3, 6, 7};
inline constexpr int transposed[6] = {0, 4, 8, 1, 2, 5};

}    // namespace LAMMPS_NS

struct LAMMPS_NS::PairDpgen::State {
  PairDpgenOptions options;
  Units units;
  std::shared_ptr<dpgen::Ensemble> ensemble;    // until pair_coeff has told the elements
  std::shared_ptr<EnsembleRunner> runner;
  std::vector<std::string> elements;    // by LAMMPS type
  std::vector<bool> covered;            // by pair of types: LAMMPS leaves it to this style
  std::vector<std::weak_ptr<const dpgen::LookPlan>> plans;
  dpgen::PerAtom per_atom;
  double scale = 1.0;

  std::vector<std::string> restarted_hashes;    // of the models that wrote the restart file; loaded at init

  /// First and last + 1 of the models whose forces drive the atoms.
  std::pair<int, int> leaders() const
  {
    if (options.lead == PairDpgenOptions::mean) return {0, runner->n_models()};
    return {options.lead, options.lead + 1};
  }
  /// From the core's unit to that of the run, for one of the leaders.
  double factor(double unit) const
  {
    const auto [first, last] = leaders();
    return scale / unit / (last - first);
  }
};

#endif
