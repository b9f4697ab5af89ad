// Hybrid pair styles that note the commands which have set them up: at a model swap they are made anew and get the very
// same ones, which no reader of the script could tell (variables, loops, include, clear).
#ifndef DPGEN_NOTED_HYBRID_H
#define DPGEN_NOTED_HYBRID_H

#include <string>
#include <vector>

namespace LAMMPS_NS {

class LAMMPS;
class Pair;

/// The commands pair_coeff and pair_modify that a pair style was given, in order, with variables filled in.
class NotedCommands {
 public:
  const std::vector<std::string> &commands() const { return commands_; }

 protected:
  ~NotedCommands() = default;
  void note(const std::string &command, int narg, char **arg);
  void forget() { commands_.clear(); }

 private:
  std::vector<std::string> commands_;
};

/// Makes a pair style hybrid, hybrid/overlay or hybrid/scaled that notes its commands; null for any other name.
Pair *create_noted_hybrid(const std::string &style, LAMMPS *lmp);

}    // namespace LAMMPS_NS

#endif
