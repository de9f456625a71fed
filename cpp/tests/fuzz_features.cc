// Coverage-guided cases of feature generation: fuzz_features [options of libFuzzer] [corpus folder]. Built by
// clang with the sanitizers (make fuzz).
#include "tests/feature_case.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  recserve::testing::check_features({data, size});
  return 0;
}
