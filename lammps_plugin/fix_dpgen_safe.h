// fix dpgen/safe: safe points of a learning run, configurations that the trajectory can be rolled back to. Internal:
// the learning run adds it (learn_session.h); there is no reason to write it in an input script.
#ifndef LMP_FIX_DPGEN_SAFE_H
#define LMP_FIX_DPGEN_SAFE_H

#include "fix.h"

#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class FixDpgenSafe : public Fix {
 public:
  struct Ring;    // the safe points with their rows per atom

  FixDpgenSafe(class LAMMPS *, int, char **);
  ~FixDpgenSafe() override;

  int setmask() override;
  void init() override;
  void setup(int) override;
  void end_of_step() override;
  void grow_arrays(int) override;
  void copy_arrays(int, int, int) override;
  void set_arrays(int) override;
  int pack_exchange(int, double *) override;
  int unpack_exchange(int, double *) override;
  double memory_usage() override;

  // All of the following are called on all ranks.

  /// At most `keep` safe points, at least `every` steps apart; drops the points at hand if `keep` changes. 0: none.
  void configure(bigint every, int keep);
  static constexpr bigint no_run = -1;
  /// The run command under way began at this step: what the keyword "elapsed" counts from, also after a pause.
  void set_first_step(bigint step) { first_step_ = step; }
  /// The frame of this step is trusted: take a safe point at the end of the step if one is due.
  void offer() { offered_ = true; }
  /// Steps of the safe points, newest first.
  std::vector<bigint> steps() const;
  /// Why safe point k (0 is the newest) cannot be restored; empty if it can.
  std::string refusal(int k) const;
  /// Puts atoms, box and the state of other fixes back to safe point k and drops newer ones. The step number stays.
  /// Throws dpgen::InputError with the reason where that cannot be. The next run must begin with a setup.
  void restore(int k);
  void drop_all();
  /// A number that changes whenever positions, velocities, types, image flags, their order or the box change; per rank.
  bigint fingerprint() const;

  /// The points move from one instance to a later one that comes last in LAMMPS' list of fixes.
  std::shared_ptr<Ring> release();
  void adopt(std::shared_ptr<Ring> ring);

 private:
  std::shared_ptr<Ring> ring_;    // shared, so that the type can stay hidden
  bigint first_step_ = no_run;
  bool offered_ = false;

  void take();
};

}    // namespace LAMMPS_NS

#endif
