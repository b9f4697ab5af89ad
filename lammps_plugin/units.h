// The one place that converts: LAMMPS' unit style to eV, Å, ps.
#ifndef DPGEN_UNITS_H
#define DPGEN_UNITS_H

#include <string>

namespace LAMMPS_NS {

class Force;

/// Factors that turn a number in the unit style of the run into eV, Å, eV/Å, ps.
struct Units {
  double energy = 1.0;
  double length = 1.0;
  double force = 1.0;
  double time = 1.0;
};

/// True for the styles that fix dpgen converts: metal and real.
bool units_known(const std::string &style);

/// Factors of a known style. The energy factor is the one that pair_style deepmd uses, so that columns compare.
Units units_of(const Force &force);

}    // namespace LAMMPS_NS

#endif
