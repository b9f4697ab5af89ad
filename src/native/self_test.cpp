#include "native/native_ensemble.h"
#include "native/test_frame.h"

#include <cmath>
#include <sstream>

namespace dpgen::native {

namespace {

constexpr double distance = 2.9;    // Å, of neighbours

double larger(double one, double other)
{
  return other > one || other != other ? other : one;    // NaN wins, and stays
}

}    // namespace

Agreement compare_on_test_frame(Ensemble &one, Ensemble &other)
{
  const TestFrame frame = test_frame(static_cast<int>(one.type_map().size()), distance);
  const int n_atoms = frame.n_atoms();
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

std::string judge(const Agreement &agreement, double tolerance)
{
  // Written so that NaN is not good enough.
  if (agreement.force <= tolerance && agreement.energy <= tolerance && agreement.virial <= 10.0 * tolerance) return {};
  std::ostringstream text;
  text << "the native kernel differs from DeePMD-kit by " << agreement.force << " eV/Å, " << agreement.energy
       << " eV/atom and " << agreement.virial << " eV/atom of virial; allowed are " << tolerance << ", " << tolerance
       << " and " << 10.0 * tolerance;
  return text.str();
}

}    // namespace dpgen::native
