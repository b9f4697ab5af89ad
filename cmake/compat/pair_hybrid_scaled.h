// LAMMPS' class PairHybridScaled; see pair_hybrid.h, whose room for data is large enough for this one's too.
#ifndef LMP_PAIR_HYBRID_SCALED_H
#define LMP_PAIR_HYBRID_SCALED_H

#include "pair_hybrid.h"

namespace LAMMPS_NS {

class PairHybridScaled : public PairHybrid {
 public:
  PairHybridScaled(class LAMMPS *);
  ~PairHybridScaled() override;
  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void write_restart(FILE *) override;
  void read_restart(FILE *) override;
  double single(int, int, int, int, double, double, double, double &) override;
  void born_matrix(int, int, int, int, double, double, double, double &, double &) override;
  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;

 protected:
  void init_svector() override;
  void copy_svector(int, int) override;
};

}    // namespace LAMMPS_NS

#endif
