// The fuzzer's cases without the fuzzer: a few thousand of random bytes, whatever the compiler.
#include <random>
#include <vector>

#include "tests/feature_case.h"
#include "tests/test.h"

TEST(features_are_the_same_joined_row_by_row_and_staged) {
  std::mt19937 dice(1);
  for (int i = 0; i < 3000; ++i) {
    std::vector<uint8_t> bytes(dice() % 600);
    for (uint8_t& each : bytes) each = static_cast<uint8_t>(dice());
    recserve::testing::check_features(bytes);
  }
}
