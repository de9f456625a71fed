#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <string_view>

#include "tests/test.h"

namespace recserve::testing {

static std::atomic<int> failed{0};

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void fail(const char* file, int line, const std::string& what) {
  ++failed;
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
}

int failures() { return failed; }

}  // namespace recserve::testing

int main(int count, char** arguments) {
  using namespace recserve::testing;
  int run = 0;
  int bad = 0;
  for (const Test& test : tests()) {
    bool wanted = std::any_of(arguments + 1, arguments + count, [&](std::string_view part) {
      return test.name.find(part) != std::string::npos;
    });
    if (count > 1 && !wanted) continue;
    ++run;
    const int before = failures();
    try {
      test.run();
    } catch (const std::exception& error) {
      fail(test.name.c_str(), 0, std::string("threw ") + error.what());
    }
    if (failures() == before) continue;
    ++bad;
    std::fprintf(stderr, "FAILED %s\n", test.name.c_str());
  }
  std::printf("%d native tests, %d failed\n", run, bad);
  return run == 0 || bad > 0 ? 1 : 0;
}
