// Frames on which evaluators are compared when models are loaded.
#ifndef DPGEN_NATIVE_TEST_FRAME_H
#define DPGEN_NATIVE_TEST_FRAME_H

#include <vector>

namespace dpgen::native {

struct TestFrame {
  std::vector<double> positions{}, cell{};    ///< Å
  std::vector<int> types{};

  int n_atoms() const { return static_cast<int>(types.size()); }
};

/// A face-centred lattice of 32 sites, one of them empty, sheared, with elements in random places and atoms moved at
/// random: always the same. `distance` (Å) is that of neighbours before they are moved.
TestFrame test_frame(int n_types, double distance);

}    // namespace dpgen::native

#endif
