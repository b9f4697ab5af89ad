#include "deviation.h"

#include "test.h"

#include <limits>

using dpgen::Deviation;
using dpgen::Virial;

namespace {
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
}    // namespace

TEST(deviation, "two models that differ by d have a spread of |d|/2: the population, not the sample")
{
  const double a[] = {1, 2, 3, 0, 0, 0}, b[] = {1, 2 + 3, 3 + 4, 0, 0, 0};
  double spread[2];
  dpgen::force_spread({a, b}, 2, -1.0, spread);
  CHECK_NEAR(spread[0], 2.5, 1e-15);
  CHECK_NEAR(spread[1], 0.0, 0.0);
}

TEST(deviation, "four models worked by hand")
{
  // mean (1, 0, 0); squared distances 1, 1, 4, 4
  const double a[] = {2, 0, 0}, b[] = {0, 0, 0}, c[] = {1, 2, 0}, d[] = {1, -2, 0};
  double spread;
  dpgen::force_spread({a, b, c, d}, 1, -1.0, &spread);
  CHECK_NEAR(spread, std::sqrt(10.0 / 4.0), 1e-15);
}

TEST(deviation, "a relative spread is divided by the mean force plus the level")
{
  const double a[] = {3, 4 + 1, 0}, b[] = {3, 4 - 1, 0};
  double spread;
  dpgen::force_spread({a, b}, 1, 0.5, &spread);
  CHECK_NEAR(spread, 1.0 / 5.5, 1e-15);
}

TEST(deviation, "equal large forces have no spread")
{
  const double a[] = {1e8, -1e8, 3e7};
  double spread;
  dpgen::force_spread({a, a, a}, 1, -1.0, &spread);
  CHECK_NEAR(spread, 0.0, 1e-7);
}

TEST(deviation, "NaN and Inf in one model of one atom spoil this atom only")
{
  for (double bad : {not_a_number, infinity, -infinity}) {
    const double a[] = {0, 0, 0, 1, 0, 0}, b[] = {0, bad, 0, 3, 0, 0};
    double spread[2];
    dpgen::force_spread({a, b}, 2, -1.0, spread);
    CHECK(!std::isfinite(spread[0]));
    CHECK_NEAR(spread[1], 1.0, 1e-15);
  }
}

TEST(deviation, "summary: max, min, mean over atoms")
{
  dpgen::SpreadSummary summary;
  for (double spread : {0.1, 0.4, 0.25}) summary.add(spread);
  Deviation devi;
  summary.finish(devi);
  CHECK_NEAR(devi.max_f, 0.4, 0.0);
  CHECK_NEAR(devi.min_f, 0.1, 0.0);
  CHECK_NEAR(devi.avg_f, 0.25, 1e-15);
}

TEST(deviation, "summary: one spread that is no number makes the figures NaN")
{
  dpgen::SpreadSummary summary;
  summary.add(0.1);
  summary.add(not_a_number);
  summary.add(0.2);
  Deviation devi;
  summary.finish(devi);
  CHECK(std::isnan(devi.max_f) && std::isnan(devi.min_f) && std::isnan(devi.avg_f));
  CHECK(summary.count == 3 && summary.not_finite == 1);
}

TEST(deviation, "summary: no atoms, no deviation")
{
  Deviation devi;
  dpgen::SpreadSummary().finish(devi);
  CHECK(devi.max_f == 0.0 && devi.min_f == 0.0 && devi.avg_f == 0.0);
}

TEST(deviation, "virial: per atom, and the average is a root mean square")
{
  Virial a{}, b{};
  a[0] = 40.0;
  b[0] = 48.0;    // spread 4 eV, over 8 atoms 0.5
  b[4] = 16.0;    // spread 8 eV, over 8 atoms 1.0
  Deviation devi;
  dpgen::virial_deviation({a, b}, 8.0, -1.0, devi);
  CHECK_NEAR(devi.max_v, 1.0, 1e-15);
  CHECK_NEAR(devi.min_v, 0.0, 0.0);
  CHECK_NEAR(devi.avg_v, std::sqrt((0.25 + 1.0) / 9.0), 1e-15);
}

TEST(deviation, "virial: relative to the mean component per atom plus the level")
{
  Virial a, b;
  a.fill(-40.0);
  b.fill(-48.0);
  Deviation devi;
  dpgen::virial_deviation({a, b}, 8.0, 0.5, devi);    // spread 0.5, mean 5.5
  CHECK_NEAR(devi.max_v, 0.5 / 6.0, 1e-15);
  CHECK_NEAR(devi.min_v, 0.5 / 6.0, 1e-15);
  CHECK_NEAR(devi.avg_v, 0.5 / 6.0, 1e-15);
}

TEST(deviation, "virial: NaN in one component of one model is NaN")
{
  Virial a{}, b{};
  b[7] = not_a_number;
  Deviation devi;
  dpgen::virial_deviation({a, b}, 8.0, -1.0, devi);
  CHECK(std::isnan(devi.max_v) && std::isnan(devi.min_v) && std::isnan(devi.avg_v));
}
