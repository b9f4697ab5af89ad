// The neighbours within the cut-off of a block of atoms, sorted by type, as the inner loops take them.
#ifndef DPGEN_NATIVE_NEIGHBORHOOD_H
#define DPGEN_NATIVE_NEIGHBORHOOD_H

#include "ensemble.h"
#include "native/buffer.h"
#include "native/model.h"

namespace dpgen::native {

/// A neighbour nearer than the spline grid reaches.
struct NearNeighbor {
  int row = 0, atom = 0, type = 0;         ///< place of the centre in the block; index and type of the neighbour
  double s = 0.0, ds_dr = 0.0, r = 0.0;    ///< 1/Å, 1/Å², Å
  double direction[3] = {};
};

/// A neighbour type of one atom of the block.
struct NeighborRange {
  int first = 0, n = 0;    ///< in the arrays of the block, without near ones
  int n_all = 0;           ///< with near ones
};

template <typename Real> class Neighborhood {
 public:
  /// `near` (Å): atoms that are closer go to near(). As DeePMD does, the nearest sel[type] neighbours are kept.
  Neighborhood(double cutoff, double cutoff_smooth, double near, std::vector<int> sel);

  void clear();
  /// Adds the neighbours of list atom i as the next row.
  void add(int i, const AtomsView &atoms, const NeighborView &list);
  /// Turns displacements into distances, directions and the switching function, for all rows at once.
  void finish();

  int n_rows() const { return static_cast<int>(ranges_.size()) / n_types(); }
  const NeighborRange &range(int row, int type) const { return ranges_[row * n_types() + type]; }
  Neighbors<Real> neighbors(const NeighborRange &range);
  const std::vector<NearNeighbor> &near() const { return near_; }
  int n_types() const { return static_cast<int>(sel_.size()); }

 private:
  struct Candidate {
    double delta[3], r2;
    int atom;
  };

  void find_candidates(int i, const AtomsView &atoms, const NeighborView &list);
  void add_near(int row, int type, const Candidate &candidate);

  double cutoff_, cutoff_smooth_, near_squared_;
  std::vector<int> sel_;
  std::vector<std::vector<Candidate>> candidates_;    // by type, then those of no type
  std::vector<int> n_candidates_;
  std::vector<NeighborRange> ranges_;
  std::vector<NearNeighbor> near_;
  int n_ = 0;
  Buffer<Real> displacement_[3], s_, ds_dr_, inverse_r_, direction_, weights_, basis_, basis_slope_;
  Buffer<int> atoms_, first_;
};

}    // namespace dpgen::native

#endif
