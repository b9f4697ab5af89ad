// The words of pair_style dpgen, parsed and checked.
#ifndef DPGEN_PAIR_DPGEN_OPTIONS_H
#define DPGEN_PAIR_DPGEN_OPTIONS_H

#include "ensemble.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

struct PairDpgenOptions {
  static constexpr int mean = -1;

  std::vector<std::string> models;    ///< files
  int lead = 0;                       ///< model (from 0) whose forces drive the atoms, or `mean`
  dpgen::Kernel kernel = dpgen::Kernel::automatic;
  dpgen::Precision precision = dpgen::Precision::fp64;

  /// Parses "model_1 ... model_M keyword value ..."; throws dpgen::InputError that names the keyword and the value.
  static PairDpgenOptions parse(const std::vector<std::string> &words);
  /// Words that parse() reads as the same.
  std::vector<std::string> words() const;
  /// True if the user leaves to us what evaluates the models.
  bool any_kernel() const { return kernel == dpgen::Kernel::automatic && precision == dpgen::Precision::fp64; }
};

}    // namespace LAMMPS_NS

#endif
