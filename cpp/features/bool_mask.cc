#include "features/bool_mask.h"

#include <algorithm>

#include "columns/error.h"

namespace recserve {

namespace {

/// `word` is in lower case.
bool is_word(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                    [](char given, char wanted) { return (given | 0x20) == wanted; });
}

std::optional<bool> truth_of(std::string_view text) {
  if (is_word(text, "true")) return true;
  if (is_word(text, "false")) return false;
  if (auto number = parse_double(text)) return *number != 0;
  return {};
}

}  // namespace

void BoolMaskKernel::read_mask(const Cells& cells, int64_t row, Counts& counts,
                               std::vector<bool>& mask) const {
  mask.clear();
  bool readable = true;
  for_each_token(cells, row, separator_, [&]<class T>(T token) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      if (!readable) return;
      const auto truth = truth_of(token);
      readable = truth.has_value();
      if (truth) return mask.push_back(*truth);
      counts.unparsable(token, cells.name);
    } else {
      mask.push_back(token != 0);
    }
  });
  if (!readable) mask.clear();
}

void BoolMaskKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  const Cells& value_cells = inputs[0];
  const Cells& mask_cells = inputs[1];
  Tokens values;
  std::vector<bool> mask;
  if (value_cells.constant()) values.read(value_cells, 0, separator_);
  if (mask_cells.constant() && !sequence_) read_mask(mask_cells, 0, sink.counts(), mask);
  for (int64_t i = 0; i < rows; ++i) {
    if (!value_cells.constant()) values.read(value_cells, i, separator_);
    if (sequence_) {
      // `kept` has seen the mask; the one row of an empty sequence may have values that are no sequence.
      mask.assign(mask_cells.missing(i) ? 0 : values.size(), true);
    } else if (!mask_cells.constant()) {
      read_mask(mask_cells, i, sink.counts(), mask);
    }
    for (size_t k = 0; k < std::min(values.size(), mask.size()); ++k) {
      if (mask[k]) sink.token(values[k]);
    }
    sink.end_row();
  }
}

std::optional<std::vector<bool>> BoolMaskKernel::kept(std::span<const Cells> inputs, int64_t elements,
                                                      Counts& counts) const {
  const Cells& values = inputs[0];
  const Cells& mask_cells = inputs[1];
  std::vector<bool> kept(elements);
  std::vector<bool> mask;
  int64_t i = 0;
  counts.row = &i;
  for (; i < elements; ++i) {
    read_mask(mask_cells, i, counts, mask);
    if (mask.size() > 1) {
      throw RequestError("reads column '" + *mask_cells.name + "', which has " + std::to_string(mask.size()) +
                         " values for one element; a mask has one");
    }
    // Masks beyond the last value are as nothing; a value that is missing among the others is an element.
    kept[i] = values.at(i) >= 0 && !mask.empty() && mask[0];
  }
  counts.row = nullptr;
  return kept;
}

}  // namespace recserve
