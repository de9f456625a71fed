#include "features/slice.h"

#include <algorithm>

namespace recserve {

namespace {

/// The place that `at` means in a list of `size`, between 0 and size.
int64_t place_of(int64_t at, int64_t size) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); }

}  // namespace

void SliceKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  Tokens tokens;
  for (int64_t i = 0; i < rows; ++i) {
    tokens.read(inputs[0], i, separator_);
    const auto size = static_cast<int64_t>(tokens.size());
    const int64_t end = place_of(end_.value_or(size), size);
    int64_t at = place_of(start_, size);
    // The step is compared with what is left: at + step_ may be more than int64 holds.
    while (at < end && !sink.full()) {
      sink.token(tokens[at]);
      if (step_ >= end - at) break;
      at += step_;
    }
    sink.end_row();
  }
}

}  // namespace recserve
