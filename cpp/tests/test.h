// What the native tests are written in:
//
//   TEST(a_reader_sees_whole_rows) { CHECK(rows > 0); CHECK_EQ(read, written); }
//
// A failed check says where it stands and what it compared, and the test goes on; `main.cc` runs every test,
// or those whose name contains one of its arguments, and returns how many failed.
#pragma once

#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace recserve::testing {

struct Test {
  std::string name;
  std::function<void()> run;
};

/// Every TEST of the program, filled before main.
std::vector<Test>& tests();

/// Counts and prints a failure; threads may call it.
void fail(const char* file, int line, const std::string& what);

/// Failures so far.
int failures();

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

template <class A, class B>
void check_equal(const char* file, int line, const char* text, const A& actual, const B& expected) {
  if (actual == expected) return;
  std::ostringstream what;
  what << text << ": " << actual << " is not " << expected;
  fail(file, line, what.str());
}

}  // namespace recserve::testing

#define TEST(name)                                                                  \
  static void test_##name();                                                        \
  static const recserve::testing::Registration register_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(expression)                                                        \
  do {                                                                           \
    if (!(expression)) recserve::testing::fail(__FILE__, __LINE__, #expression); \
  } while (false)

#define CHECK_EQ(actual, expected) \
  recserve::testing::check_equal(__FILE__, __LINE__, #actual " == " #expected, actual, expected)
