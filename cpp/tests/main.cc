// Runs every native test, or those whose name contains the argument.
#include <cstdio>

#include "test.h"

int main(int argc, char** argv) {
  int run = 0, failed = 0;
  for (const auto& test : recserve::testing::tests()) {
    if (argc > 1 && test.name.find(argv[1]) == std::string::npos) continue;
    ++run;
    try {
      test.run();
    } catch (const std::exception& error) {
      ++failed;
      std::printf("FAILED %s: %s\n", test.name.c_str(), error.what());
    }
  }
  std::printf("%d tests, %d failed\n", run, failed);
  return failed == 0 && run > 0 ? 0 : 1;
}
