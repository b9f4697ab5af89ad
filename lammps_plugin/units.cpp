#include "units.h"

#include "force.h"

namespace LAMMPS_NS {

namespace {
constexpr double boltzmann_metal = 8.617343e-5;    // eV/K, LAMMPS' value in metal units
}

bool units_known(const std::string &style)
{
  return style == "metal" || style == "real";
}

Units units_of(const Force &force)
{
  Units units;
  units.energy = boltzmann_metal / force.boltz;
  units.length = 1.0 / force.angstrom;
  units.force = units.energy / units.length;
  units.time = 1e-3 / force.femtosecond;
  return units;
}

}    // namespace LAMMPS_NS
