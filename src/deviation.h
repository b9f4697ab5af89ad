// Model deviation: how far the forces and virials of an ensemble are apart.
//
// Eq. 1 of Zhang, Lin, Wang, Car, E, Phys. Rev. Materials 3, 023804 (2019), arXiv:1810.11890, with the population
// spread (divided by the number of models), as DeePMD-kit prints it.
#ifndef DPGEN_DEVIATION_H
#define DPGEN_DEVIATION_H

#include <array>
#include <cstddef>
#include <vector>

namespace dpgen {

/// The six figures. Forces in eV/Å, virials in eV/atom (or relative, without unit).
struct Deviation {
  double max_v = 0.0, min_v = 0.0, avg_v = 0.0;
  double max_f = 0.0, min_f = 0.0, avg_f = 0.0;
};

using Virial = std::array<double, 9>;    ///< row-major 3x3, eV, DeePMD's sign (-stress * volume)

/// Spread of the forces on each atom: sqrt(<|f - <f>|^2>) over the models.
///
/// `forces[m]` points to n_atoms * 3 numbers of model m, `spread` to n_atoms numbers. With `relative` >= 0 the spread
/// of each atom is divided by |<f>| + relative. NaN and Inf in any model give a spread that is not finite.
void force_spread(const std::vector<const double *> &forces, std::size_t n_atoms, double relative, double *spread);

/// Maximum, minimum and sum of the finite spreads of some atoms, to be reduced over ranks with max, min and sums.
struct SpreadSummary {
  double max = 0.0;
  double min;
  double sum = 0.0;
  long count = 0;
  long not_finite = 0;

  SpreadSummary();
  void add(double spread);
  /// Writes max_f, min_f, avg_f; NaN where a spread was not finite, 0 where there is no atom.
  void finish(Deviation &deviation) const;
};

/// Writes max_v, min_v, avg_v from the total virials of all models divided by the number of atoms.
///
/// avg_v is the root mean square over the nine components, as in DeePMD-kit. With `relative` >= 0 each component's
/// spread is divided by |mean| + relative.
void virial_deviation(const std::vector<Virial> &virials, double n_atoms, double relative, Deviation &deviation);

}    // namespace dpgen

#endif
