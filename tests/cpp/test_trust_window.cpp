#include "trust_window.h"

#include "errors.h"
#include "test.h"

#include <limits>
#include <string>

using dpgen::classify;
using dpgen::ClassRule;
using dpgen::FrameClass;
using dpgen::TrustWindow;
using dpgen::Window;

namespace {
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
}    // namespace

TEST(trust_window, "lo belongs to the window, hi to the failed")
{
  const Window window{0.05, 0.15};
  CHECK(classify(0.0, window) == FrameClass::accurate);
  CHECK(classify(std::nextafter(0.05, 0.0), window) == FrameClass::accurate);
  CHECK(classify(0.05, window) == FrameClass::candidate);
  CHECK(classify(std::nextafter(0.15, 0.0), window) == FrameClass::candidate);
  CHECK(classify(0.15, window) == FrameClass::failed);
}

TEST(trust_window, "NaN and Inf are failed, whatever the other quantity is")
{
  const TrustWindow both{{0.05, 0.15}, Window{0.1, 0.2}};
  for (double bad : {not_a_number, infinity, -infinity}) {
    CHECK(classify(bad, both.force) == FrameClass::failed);
    CHECK(classify(bad, 0.0, both) == FrameClass::failed);
    CHECK(classify(0.0, bad, both) == FrameClass::failed);
  }
}

TEST(trust_window, "an empty window has no candidates")
{
  const Window window{0.1, 0.1};
  CHECK(classify(0.0999, window) == FrameClass::accurate);
  CHECK(classify(0.1, window) == FrameClass::failed);
}

TEST(trust_window, "the worse of two quantities counts in the loop; a candidate wins by DP-GEN's rule")
{
  const TrustWindow both{{1.0, 2.0}, Window{10.0, 20.0}};
  const double value_f[] = {0.5, 1.5, 2.5}, value_v[] = {5.0, 15.0, 25.0};
  for (int f = 0; f < 3; ++f)
    for (int v = 0; v < 3; ++v) {
      const int worst = std::max(f, v), dpgen = f == 1 || v == 1 ? 1 : worst;
      CHECK(static_cast<int>(classify(value_f[f], value_v[v], both)) == worst);
      CHECK(static_cast<int>(classify(value_f[f], value_v[v], both, ClassRule::dpgen)) == dpgen);
    }
}

TEST(trust_window, "without a window for the virial it does not count")
{
  CHECK(classify(0.01, 1e9, TrustWindow{{0.05, 0.15}, {}}) == FrameClass::accurate);
}

TEST(trust_window, "bad windows are named with their values")
{
  CHECK_THROWS((TrustWindow{{0.3, 0.1}, {}}.check()), dpgen::InputError, "0.3");
  CHECK_THROWS((TrustWindow{{-0.1, 0.1}, {}}.check()), dpgen::InputError, "-0.1");
  CHECK_THROWS((TrustWindow{{0.1, infinity}, {}}.check()), dpgen::InputError, "inf");
  CHECK_THROWS((TrustWindow{{not_a_number, 0.1}, {}}.check()), dpgen::InputError, "nan");
  CHECK_THROWS((TrustWindow{{0.1, 0.2}, Window{2.0, 1.0}}.check()), dpgen::InputError, "virial");
  TrustWindow{{0.1, 0.1}, Window{0.0, 1.0}}.check();
}

TEST(trust_window, "names of the classes")
{
  CHECK(dpgen::name(FrameClass::accurate) == std::string("accurate"));
  CHECK(dpgen::name(FrameClass::candidate) == std::string("candidate"));
  CHECK(dpgen::name(FrameClass::failed) == std::string("failed"));
}
