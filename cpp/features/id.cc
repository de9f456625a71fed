#include "features/id.h"

#include "features/plain.h"

namespace recserve {

namespace {

struct Weighted {
  std::string_view id;
  std::string_view weight;  // empty: 1
};

/// An id may hold colons of its own as long as it has a weight behind the last one.
Weighted cut(std::string_view token) {
  size_t colon = token.rfind(':');
  if (colon == std::string_view::npos) return {token, {}};
  return {token.substr(0, colon), token.substr(colon + 1)};
}

/// The weight of a token; nothing when it is text that is no number.
std::optional<double> weight_of(std::string_view weight, const Cells& input, Sink& sink) {
  if (weight.empty()) return 1.0;
  auto number = parse_double(weight);
  if (!number) sink.counts().unparsable(weight, input.name);
  return number;
}

}  // namespace

std::optional<Column> IdKernel::whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const {
  return plain_ids(rules, inputs[0], rows, separator_);
}

void IdKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  const Cells& input = inputs[0];
  const bool map = input.column->shape == Shape::Map;
  for (int64_t i = 0; i < rows; ++i) {
    if (!weighted_) {
      for_each_token(input, i, separator_, [&](auto token) { sink.token(token); });
    } else if (map) {
      run_map(input, i, sink);
    } else {
      run_weighted(input, i, sink);
    }
    sink.end_row();
  }
}

void IdKernel::run_weighted(const Cells& input, int64_t row, Sink& sink) const {
  // One bad weight makes the whole cell missing, so all are read before the first token is given.
  bool readable = true;
  for_each_text(input, row, separator_, [&](std::string_view token) {
    if (readable) readable = weight_of(cut(token).weight, input, sink).has_value();
  });
  if (!readable) return;
  for_each_text(input, row, separator_, [&](std::string_view token) {
    auto [id, weight] = cut(token);
    if (!id.empty()) sink.token(id, static_cast<float>(weight_of(weight, input, sink).value()));
  });
}

void IdKernel::run_map(const Cells& input, int64_t row, Sink& sink) const {
  if (input.missing(row)) return;
  const Column& column = *input.column;
  const Range range = entries(column, input.at(row));
  std::vector<float> weights;
  weights.reserve(range.end - range.begin);
  bool readable = true;
  for_each_entry(column.values, range, [&]<class T>(T value) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      auto weight = weight_of(value, input, sink);
      if (!weight) readable = false;
      weights.push_back(static_cast<float>(weight.value_or(1)));
    } else {
      weights.push_back(static_cast<float>(value));
    }
  });
  if (!readable) return;
  size_t next = 0;
  for_each_entry(column.keys, range, [&](auto key) { sink.token(key, weights[next++]); });
}

}  // namespace recserve
