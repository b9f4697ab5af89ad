#include "look_plan.h"

#include <algorithm>
#include <cmath>

namespace dpgen {

bool LookPlan::looks_at(std::int64_t step) const
{
  if (!adaptive()) return step % shortest_ == 0;
  if (fixed_ > 0) return step % fixed_ == 0;
  // The step of the last look belongs to the next run command too; earlier ones come after reset_timestep.
  return step % shortest_ == 0 && (step >= next_ || step <= last_);
}

int LookPlan::every() const
{
  if (!adaptive()) return shortest_;
  return fixed_ > 0 ? fixed_ : shortest_ << doublings;
}

void LookPlan::set_every(int n)
{
  if (!adaptive()) shortest_ = n;
  else fixed_ = n < shortest_ << doublings ? n : 0;
}

void LookPlan::set_next(std::int64_t step, std::int64_t next)
{
  last_ = step;
  next_ = next;
}

/* ----------------------------------------------------------------------
   The interval doubles for each tenth of the lower bound that the deviation
   is below it, and ends before a rise as fast as the last one could reach it.
------------------------------------------------------------------------- */

std::int64_t LookPlan::interval(double ratio, std::int64_t since) const
{
  if (!(ratio < 1.0)) return shortest_;
  const int steps_down = std::min(doublings, static_cast<int>(10.0 * (1.0 - ratio)));
  const std::int64_t wanted = static_cast<std::int64_t>(shortest_) << steps_down;
  const double rise = since > 0 ? (ratio - last_ratio_) / static_cast<double>(since) : 0.0;
  if (!(rise > 0.0)) return wanted;
  return std::max<std::int64_t>(shortest_,
                                std::min<std::int64_t>(wanted, static_cast<std::int64_t>((1.0 - ratio) / rise)));
}

/* ----------------------------------------------------------------------
   Each second of the run earns its share for looks; where they have cost
   more than that, the next one waits until it is paid for.
------------------------------------------------------------------------- */

std::int64_t LookPlan::next_after(std::int64_t step, const LookResult &look)
{
  const std::int64_t since = last_ >= 0 && step > last_ ? step - last_ : 0;
  std::int64_t wait = interval(look.ratio, since);
  if (since > 0) {
    const double per_step = look.since_last / static_cast<double>(since);
    credit_ += budget_ * look.since_last - look.seconds;
    credit_ = std::min(credit_, saved_looks * look.seconds);
    const double debt = std::max(0.0, look.seconds - credit_ - budget_ * per_step * static_cast<double>(wait));
    if (per_step > 0.0) wait += static_cast<std::int64_t>(std::min(1e6, debt / (budget_ * per_step)));
  }
  last_ratio_ = look.ratio;
  return step + wait;
}

}    // namespace dpgen
