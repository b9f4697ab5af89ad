// A stored frame: the atoms, the cell, what the ensemble said about them, and which models said it.
#ifndef DPGEN_FRAME_H
#define DPGEN_FRAME_H

#include "deviation.h"
#include "trust_window.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace dpgen {

struct Frame {
  std::int64_t step = 0;
  double time = 0.0;                 ///< ps
  double temperature = 0.0;          ///< K, kinetic, of all atoms
  std::array<double, 9> cell{};      ///< Å, rows are cell vectors
  std::array<double, 3> origin{};    ///< Å, corner of the cell
  std::array<bool, 3> periodic{true, true, true};
  std::vector<std::int64_t> tags;    ///< atom ids, ascending
  std::vector<std::string> species;
  std::vector<double> positions;    ///< n_atoms * 3, Å, unwrapped
  std::vector<double> spread;       ///< n_atoms, eV/Å (or relative)
  Deviation deviation;
  FrameClass frame_class = FrameClass::candidate;
  std::string fix_id;
  std::vector<std::string> model_hashes;

  std::size_t n_atoms() const { return species.size(); }
};

}    // namespace dpgen

#endif
