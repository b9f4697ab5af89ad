// Commands that drive several replicas of a system, which wait for each other.
#ifndef DPGEN_REPLICA_DRIVERS_H
#define DPGEN_REPLICA_DRIVERS_H

namespace LAMMPS_NS {

inline constexpr const char *replica_drivers[] = {"temper",   "temper/npt", "temper/grem", "neb",
                                                  "neb/spin", "prd",        "tad",         "hyper"};
inline constexpr int n_replica_drivers = sizeof replica_drivers / sizeof replica_drivers[0];

}    // namespace LAMMPS_NS

#endif
