#include "features/combine.h"

#include "columns/error.h"

namespace recserve {

CombineKernel::CombineKernel(char separator, std::optional<ValueMap> value_map, const std::string& combiner)
    : separator_(separator), value_map_(std::move(value_map)), combiner_(combiner_of(combiner)) {
  if (!value_map_) return;
  for (const auto& [text, number] : *value_map_) mapped_.insert(text);
}

bool CombineKernel::read(const Cells& cells, int64_t row, Counts& counts, std::vector<double>& found) const {
  found.clear();
  if (value_map_) {
    for_each_text(cells, row, separator_, [&](std::string_view text) {
      if (const int32_t at = mapped_.find(text); at >= 0) found.push_back((*value_map_)[at].second);
    });
    return true;
  }
  bool readable = true;
  for_each_token(cells, row, separator_, [&]<class T>(T token) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      if (!readable) return;
      auto number = parse_double(token);
      readable = number.has_value();
      if (number) return found.push_back(*number);
      counts.unparsable(token, cells.name);
    } else {
      found.push_back(static_cast<double>(token));
    }
  });
  return readable;
}

void CombineKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  const Cells& cells = inputs[0];
  if (cells.column->shape == Shape::Map && !cells.produced && !value_map_) {
    throw RequestError("reads column '" + *cells.name +
                       "', which is a map; a combine_feature reads numbers or text");
  }
  const bool text = !value_map_ && tokens_of(*cells.column).type == Type::String;
  const auto emit = [&](double number) { return text ? sink.parsed(number) : sink.number(number); };
  std::vector<double> found;
  for (int64_t i = 0; i < rows; ++i) {
    if (read(cells, i, sink.counts(), found) && !found.empty()) {
      if (combiner_ == Combiner::None) {
        for (double number : found) emit(number);
      } else {
        emit(combine(combiner_, found));
      }
    }
    sink.end_row();
  }
}

}  // namespace recserve
