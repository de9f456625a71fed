#include "features/raw.h"

#include "columns/error.h"
#include "features/plain.h"

namespace recserve {

std::optional<Column> RawKernel::whole(std::span<const Cells> inputs, int64_t rows,
                                       const Rules& rules) const {
  const bool null_is_zero = null_is_zero_ && !inputs[0].produced;
  return plain_numbers(rules, inputs[0], rows, null_is_zero);
}

void RawKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  const Cells& input = inputs[0];
  const Column& column = *input.column;
  if (column.shape == Shape::Map && !input.produced) {
    throw RequestError("reads column '" + *input.name +
                       "', which is a map; a raw_feature reads numbers or text");
  }
  const Values& values = tokens_of(column);
  const bool text = values.type == Type::String;
  const bool zero =
      null_is_zero_ && !text && !input.produced && column.shape == Shape::Scalar && column.width == 1;
  for (int64_t i = 0; i < rows; ++i) {
    if (input.missing(i)) {
      if (zero) sink.plain(0.0);
    } else if (text) {
      run_text(input, i, sink);
    } else {
      for_each_entry(values, entries(column, input.at(i)), [&]<class T>(T number) {
        if constexpr (!std::is_same_v<T, std::string_view>) sink.number(number);
      });
    }
    sink.end_row();
  }
}

void RawKernel::run_text(const Cells& input, int64_t row, Sink& sink) const {
  bool readable = true;
  const auto number = [&](std::string_view piece) {
    if (!readable || sink.full()) return;
    auto parsed = parse_double(piece);
    readable = parsed.has_value();
    if (parsed) return sink.parsed(*parsed);
    sink.counts().unparsable(piece, input.name);
    sink.drop_row();
  };
  for_each_token(input, row, separator_, [&]<class T>(T token) {
    if constexpr (std::is_same_v<T, std::string_view>) number(token);
  });
}

}  // namespace recserve
