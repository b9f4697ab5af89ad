#include "noted_hybrid.h"

#include "pair_hybrid.h"
#include "pair_hybrid_overlay.h"
#include "pair_hybrid_scaled.h"

#include <algorithm>

namespace LAMMPS_NS {

namespace {

std::string quoted(const std::string &word)
{
  return word.find_first_of(" \t#") == std::string::npos ? word : "\"" + word + "\"";
}

template <class Hybrid> class Noted : public Hybrid, public NotedCommands {
 public:
  explicit Noted(LAMMPS *lmp) : Hybrid(lmp) {}

  /// Also called when pair_style names the same style once more: all its sub-styles are new then.
  void settings(int narg, char **arg) override
  {
    forget();
    Hybrid::settings(narg, arg);
  }

  // Noted first: LAMMPS moves the words about.
  void coeff(int narg, char **arg) override
  {
    note("pair_coeff", narg, arg);
    Hybrid::coeff(narg, arg);
  }
  void modify_params(int narg, char **arg) override
  {
    note("pair_modify", narg, arg);
    Hybrid::modify_params(narg, arg);
  }
};

}    // namespace

void NotedCommands::note(const std::string &command, int narg, char **arg)
{
  std::string line = command;
  for (int i = 0; i < narg; ++i) line += " " + quoted(arg[i]);
  // A command that a loop repeats counts once, where it came last.
  commands_.erase(std::remove(commands_.begin(), commands_.end(), line), commands_.end());
  commands_.push_back(std::move(line));
}

Pair *create_noted_hybrid(const std::string &style, LAMMPS *lmp)
{
  if (style == "hybrid") return new Noted<PairHybrid>(lmp);
  if (style == "hybrid/overlay") return new Noted<PairHybridOverlay>(lmp);
  if (style == "hybrid/scaled") return new Noted<PairHybridScaled>(lmp);
  return nullptr;
}

}    // namespace LAMMPS_NS
