// Native tests without a framework: what cannot be seen from Python.
//
//   TEST(a_sentence_about_what_holds) { CHECK(rows == 3); CHECK_EQ(text, "a"); }
#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace recserve::testing {

struct Test {
  std::string name;
  std::function<void()> run;
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Registration {
  Registration(const char* name, std::function<void()> run) { tests().push_back({name, std::move(run)}); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(bool holds, const char* what, const char* file, int line) {
  if (!holds) throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <class A, class B>
void check_equal(const A& a, const B& b, const char* what, const char* file, int line) {
  if (a == b) return;
  std::ostringstream text;
  text << what << ": " << a << " != " << b;
  check(false, text.str().c_str(), file, line);
}

}  // namespace recserve::testing

#define TEST(name)                                                          \
  static void test_##name();                                                \
  static const recserve::testing::Registration name##_(#name, test_##name); \
  static void test_##name()
#define CHECK(expr) recserve::testing::check((expr), #expr, __FILE__, __LINE__)
#define CHECK_EQ(a, b) recserve::testing::check_equal((a), (b), #a " == " #b, __FILE__, __LINE__)
