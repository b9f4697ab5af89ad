// Whoever wants to know about each look that fix dpgen takes at its ensemble.
#ifndef DPGEN_LOOK_LISTENER_H
#define DPGEN_LOOK_LISTENER_H

namespace dpgen {
struct Look;
}

namespace LAMMPS_NS {

class LookListener {
 public:
  virtual ~LookListener() = default;
  /// Called on all ranks at the end of a step, after counts and frames of this look are up to date.
  virtual void looked(const dpgen::Look &look) = 0;
};

}    // namespace LAMMPS_NS

#endif
