// At which steps fix dpgen looks. The fix decides; a pair style dpgen below it asks, so that it evaluates all models
// then.
#ifndef DPGEN_LOOK_PLAN_H
#define DPGEN_LOOK_PLAN_H

#include <cstdint>

namespace dpgen {

/// What one look has shown and cost.
struct LookResult {
  double ratio = 0.0;         ///< deviation over the lower bound of its window, of the worse quantity; may be NaN
  double seconds = 0.0;       ///< what the look took
  double since_last = 0.0;    ///< seconds since the last look or the begin of the run, without this look
};

class LookPlan {
 public:
  /// Looks at multiples of `every`; `budget` > 0: adaptive, looks may take that share of the run's time on average.
  LookPlan(int every, double budget) : shortest_(every), budget_(budget) {}

  bool adaptive() const { return budget_ > 0.0; }
  bool looks_at(std::int64_t step) const;
  /// The longest interval between two looks, steps; one budget may make it longer.
  int every() const;
  /// Looks every n steps from now on, n >= 1; where n is every() of an adaptive plan, or longer, it adapts again.
  void set_every(int n);
  /// Another shortest interval, n >= 1.
  void set_shortest(int n) { shortest_ = n; }

  /// A run begins: the first configuration is looked at.
  void begin(std::int64_t step)
  {
    next_ = step;
    last_ = -1;
  }
  /// Of an adaptive plan: the step of the next look after one at `step`. Not the same on all ranks: see set_next().
  std::int64_t next_after(std::int64_t step, const LookResult &look);
  void set_next(std::int64_t step, std::int64_t next);

  static constexpr int doublings = 6;          ///< the longest interval is 2^6 times the shortest one
  static constexpr double saved_looks = 20;    ///< time that can be saved up for later, in looks

 private:
  std::int64_t interval(double ratio, std::int64_t since) const;

  int shortest_;
  double budget_;
  int fixed_ = 0;    // > 0: looks every so many steps, whatever the plan
  std::int64_t next_ = 0, last_ = -1;
  double last_ratio_ = 0.0;
  double credit_ = 0.0;    // seconds that looks may take before the budget is used up
};

}    // namespace dpgen

#endif
