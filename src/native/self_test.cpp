#include "native/native_ensemble.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sstream>

namespace dpgen::native {

namespace {

// Numbers between 0 and 1, the same everywhere: the linear congruential generator of Knuth's MMIX.
class Numbers {
 public:
  double next()
  {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<double>(state_ >> 11) / 9007199254740992.0;
  }

 private:
  std::uint64_t state_ = 20181127;
};

struct TestFrame {
  std::vector<double> positions{}, cell{};
  std::vector<int> types{};
};

// A face-centred lattice of 32 sites, one of them empty, sheared; neighbours 2.9 Å apart before they are moved.
TestFrame test_frame(int n_types)
{
  constexpr double edge = 4.1;
  constexpr double sites[4][3] = {{0.0, 0.0, 0.0}, {0.5, 0.5, 0.0}, {0.5, 0.0, 0.5}, {0.0, 0.5, 0.5}};
  TestFrame frame;
  Numbers numbers;
  for (int k = 1; k < 32; ++k) {
    const int corner[3] = {k / 4 % 2, k / 8 % 2, k / 16 % 2};
    for (int d = 0; d < 3; ++d)
      frame.positions.push_back(edge * (corner[d] + sites[k % 4][d]) + 0.5 * (numbers.next() - 0.5));
    frame.types.push_back(static_cast<int>(numbers.next() * n_types));
  }
  frame.cell = {2 * edge, 0.0, 0.0, 0.3, 2 * edge, 0.0, -0.2, 0.4, 2 * edge};
  return frame;
}

double larger(double one, double other)
{
  return other > one || other != other ? other : one;    // NaN wins, and stays
}

}    // namespace

Agreement compare_on_test_frame(Ensemble &one, Ensemble &other)
{
  const TestFrame frame = test_frame(static_cast<int>(one.type_map().size()));
  const int n_atoms = static_cast<int>(frame.types.size());
  std::vector<Prediction> mine, others;
  one.evaluate_frame_all(one.n_models(), n_atoms, frame.positions.data(), frame.types.data(), frame.cell.data(), mine);
  other.evaluate_frame_all(one.n_models(), n_atoms, frame.positions.data(), frame.types.data(), frame.cell.data(),
                           others);
  Agreement agreement;
  for (std::size_t m = 0; m < mine.size(); ++m) {
    agreement.energy = larger(agreement.energy, std::abs(mine[m].energy - others[m].energy) / n_atoms);
    for (std::size_t k = 0; k < mine[m].forces.size(); ++k)
      agreement.force = larger(agreement.force, std::abs(mine[m].forces[k] - others[m].forces[k]));
    for (std::size_t k = 0; k < 9; ++k)
      agreement.virial = larger(agreement.virial, std::abs(mine[m].virial[k] - others[m].virial[k]) / n_atoms);
  }
  return agreement;
}

std::string judge(const Agreement &agreement, Precision precision)
{
  const double force = precision == Precision::fp64 ? 1e-7 : 1e-4, energy = precision == Precision::fp64 ? 1e-8 : 1e-5;
  // Written so that NaN is not good enough.
  if (agreement.force <= force && agreement.energy <= energy && agreement.virial <= 10.0 * force) return {};
  std::ostringstream text;
  text << "the native kernel differs from DeePMD-kit by " << agreement.force << " eV/Å, " << agreement.energy
       << " eV/atom and " << agreement.virial << " eV/atom of virial; allowed are " << force << ", " << energy
       << " and " << 10.0 * force;
  return text.str();
}

}    // namespace dpgen::native
