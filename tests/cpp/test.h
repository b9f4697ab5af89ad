// A test framework as small as the core needs: tests register themselves, a failed check says where and what.
//
//   TEST(part, "what must hold") { CHECK(1 + 1 == 2); CHECK_NEAR(x, 2.0, 1e-12); CHECK_THROWS(f(), Error, "word"); }
//
// The program runs the parts named on its command line, or all; its exit status is the number of failed tests.
#ifndef DPGEN_TEST_H
#define DPGEN_TEST_H

#include <cmath>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Test {
  std::string part, name;
  std::function<void()> body;
};

std::vector<Test> &all();

struct Register {
  Register(const char *part, const char *name, std::function<void()> body) { all().push_back({part, name, body}); }
};

[[noreturn]] inline void fail(const char *file, int line, const std::string &what)
{
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

inline void check_near(double got, double expected, double tolerance, const char *file, int line)
{
  if (std::abs(got - expected) <= tolerance) return;
  std::ostringstream text;
  text.precision(17);
  text << "got " << got << ", expected " << expected << " within " << tolerance;
  fail(file, line, text.str());
}

}    // namespace test

#define TEST_JOIN_(a, b) a##b
#define TEST_JOIN(a, b) TEST_JOIN_(a, b)
#define TEST(part, name)                                                                                               \
  static void TEST_JOIN(body_, __LINE__)();                                                                            \
  static const test::Register TEST_JOIN(test_, __LINE__)(#part, name, TEST_JOIN(body_, __LINE__));                     \
  static void TEST_JOIN(body_, __LINE__)()
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) test::fail(__FILE__, __LINE__, "not " #condition);                                               \
  } while (false)
#define CHECK_NEAR(got, expected, tolerance) test::check_near(got, expected, tolerance, __FILE__, __LINE__)
#define CHECK_THROWS(expression, Error, word)                                                                          \
  do {                                                                                                                 \
    std::string message_;                                                                                              \
    try {                                                                                                              \
      expression;                                                                                                      \
    } catch (const Error &error) {                                                                                     \
      message_ = error.what();                                                                                         \
    }                                                                                                                  \
    if (message_.empty()) test::fail(__FILE__, __LINE__, #expression " does not throw " #Error);                       \
    if (message_.find(word) == std::string::npos)                                                                      \
      test::fail(__FILE__, __LINE__, "'" + message_ + "' does not name '" + std::string(word) + "'");                  \
  } while (false)

#endif
