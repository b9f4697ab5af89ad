#include "look_plan.h"

#include "test.h"

#include <limits>

using dpgen::LookPlan;

namespace {

// A look that costs nothing, so that the budget plays no part.
std::int64_t next_for_free(LookPlan &plan, std::int64_t step, double ratio)
{
  const std::int64_t next = plan.next_after(step, {ratio, 0.0, 1.0});
  plan.set_next(step, next);
  return next;
}

// Steps of the looks of a run of n steps, a second each, with a constant deviation.
int count_looks(LookPlan &plan, int n, double ratio, double look_seconds)
{
  int looks = 0;
  std::int64_t last = 0;
  plan.begin(0);
  for (std::int64_t step = 0; step <= n; ++step) {
    if (!plan.looks_at(step)) continue;
    ++looks;
    plan.set_next(step, plan.next_after(step, {ratio, look_seconds, double(step - last)}));
    last = step;
  }
  return looks;
}

}    // namespace

TEST(look_plan, "a fixed plan looks at multiples")
{
  LookPlan plan(5, 0.0);
  CHECK(!plan.adaptive());
  CHECK(plan.looks_at(0) && plan.looks_at(10) && !plan.looks_at(12));
  plan.set_every(4);
  CHECK(plan.looks_at(12) && !plan.looks_at(10));
  CHECK(plan.every() == 4);
}

TEST(look_plan, "the interval doubles for each tenth below the window")
{
  LookPlan plan(2, 0.5);
  plan.begin(0);
  CHECK(next_for_free(plan, 0, 1.0) == 2);
  CHECK(next_for_free(plan, 2, 0.95) == 4);
  CHECK(next_for_free(plan, 4, 0.75) == 12);
  CHECK(next_for_free(plan, 12, 0.45) == 12 + 64);
  CHECK(next_for_free(plan, 76, 0.0) == 76 + 128);
  CHECK(next_for_free(plan, 204, std::numeric_limits<double>::quiet_NaN()) == 206);
}

TEST(look_plan, "a rise of the same pace does not reach the window unseen")
{
  LookPlan plan(1, 0.5);
  plan.begin(0);
  next_for_free(plan, 0, 0.2);
  CHECK(next_for_free(plan, 40, 0.6) == 40 + 16);    // 0.01 a step would take 40, the distance says 16
  next_for_free(plan, 50, 0.1);
  CHECK(next_for_free(plan, 60, 0.5) == 60 + 12);    // 0.04 a step: 12.5
}

TEST(look_plan, "looks take no more than the budget, near the window too")
{
  for (double ratio : {0.1, 0.9, 2.0}) {
    LookPlan plan(1, 0.1);
    const int looks = count_looks(plan, 10000, ratio, 3.0);
    CHECK(looks * 3.0 <= 0.1 * 10000 + 2 * 3.0);
    CHECK(looks >= (ratio > 0.5 ? 300 : 100));
  }
}

TEST(look_plan, "time that was saved far below the window is used near it, as far as it goes")
{
  LookPlan plan(1, 0.1);
  plan.begin(0);
  std::int64_t step = 0;
  for (int k = 0; k < 100; ++k) {
    const std::int64_t next = plan.next_after(step, {0.0, 1.0, 64.0});
    plan.set_next(step, next);
    step = next;
  }
  int dense = 0;
  for (std::int64_t next = step + 1; next == step + 1; ++dense) {
    step = next;
    next = plan.next_after(step, {1.0, 1.0, 1.0});
    plan.set_next(step, next);
  }
  CHECK(dense >= 15 && dense <= LookPlan::saved_looks + 5);
}

TEST(look_plan, "a replay looks at every step, and then it adapts again")
{
  LookPlan plan(1, 0.1);
  plan.begin(0);
  next_for_free(plan, 0, 0.0);
  CHECK(!plan.looks_at(7));
  const int usual = plan.every();
  plan.set_every(1);
  CHECK(plan.looks_at(7) && plan.every() == 1);
  plan.set_every(usual);
  CHECK(!plan.looks_at(7) && plan.every() == usual);
}

TEST(look_plan, "the first configuration of a run is looked at, and the last look's step still counts")
{
  LookPlan plan(3, 0.1);
  plan.begin(30);
  CHECK(plan.looks_at(30));
  next_for_free(plan, 30, 0.0);
  CHECK(plan.looks_at(30) && !plan.looks_at(33));
  plan.begin(45);
  CHECK(plan.looks_at(45));
}
