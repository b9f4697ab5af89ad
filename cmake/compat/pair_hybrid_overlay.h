// LAMMPS' class PairHybridOverlay; see pair_hybrid.h.
#ifndef LMP_PAIR_HYBRID_OVERLAY_H
#define LMP_PAIR_HYBRID_OVERLAY_H

#include "pair_hybrid.h"

namespace LAMMPS_NS {

class PairHybridOverlay : public PairHybrid {
 public:
  PairHybridOverlay(class LAMMPS *);
  void coeff(int, char **) override;

 protected:
  void init_svector() override;
  void copy_svector(int, int) override;
};

}    // namespace LAMMPS_NS

#endif
