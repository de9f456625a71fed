#include "features/bucketize_only.h"

namespace recserve {

void BucketizeOnlyKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  const Cells& input = inputs[0];
  const Values& values = tokens_of(*input.column);
  const bool whole = !cut_ && values.type == Type::String;
  for (int64_t i = 0; i < rows; ++i) {
    if (!whole) {
      for_each_token(input, i, separator_, [&](auto token) { sink.token(token); });
    } else if (!input.missing(i)) {
      const Range range = entries(*input.column, input.at(i));
      for (int64_t p = range.begin; p < range.end; ++p) {
        if (std::string_view text = values.text(p); !text.empty()) sink.token(text);
      }
    }
    sink.end_row();
  }
}

}  // namespace recserve
