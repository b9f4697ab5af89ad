// Atoms, images and neighbours of a frame, in the form that a rank of LAMMPS has them.
#ifndef DPGEN_NATIVE_FRAME_NEIGHBORS_H
#define DPGEN_NATIVE_FRAME_NEIGHBORS_H

#include "ensemble.h"

namespace dpgen::native {

class FrameNeighbors {
 public:
  /// `cell` may be null: not periodic. Atoms may lie outside the cell.
  FrameNeighbors(int n_atoms, const double *positions, const int *types, const double *cell, double cutoff);

  AtomsView atoms() const;
  NeighborView list();
  /// Adds the forces of images to those of their atoms and drops them.
  void fold(std::vector<double> &forces) const;

 private:
  void wrap(const double *cell, const double *inverse);
  void add_images(const double *cell, const double *inverse, double cutoff);
  void find_pairs(double cutoff);

  int n_atoms_;
  std::vector<double> positions_;
  std::vector<int> types_, owners_;    // of the images
  std::vector<int> indices_, counts_, neighbors_;
  std::vector<int *> pointers_;
};

}    // namespace dpgen::native

#endif
