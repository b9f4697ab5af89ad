#include "test.h"

#include <algorithm>
#include <cstdio>

std::vector<test::Test> &test::all()
{
  static std::vector<Test> tests;
  return tests;
}

int main(int argc, char **argv)
{
  const std::vector<std::string> parts(argv + 1, argv + argc);
  int n_run = 0, n_failed = 0;
  for (const test::Test &one : test::all()) {
    if (!parts.empty() && std::find(parts.begin(), parts.end(), one.part) == parts.end()) continue;
    ++n_run;
    try {
      one.body();
    } catch (const std::exception &failure) {
      ++n_failed;
      std::printf("FAILED %s: %s\n  %s\n", one.part.c_str(), one.name.c_str(), failure.what());
    }
  }
  std::printf("%d tests, %d failed\n", n_run, n_failed);
  return n_run == 0 ? 1 : n_failed;
}
