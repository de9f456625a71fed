#include "features/combo.h"

#include <algorithm>

#include "columns/error.h"
#include "features/plain.h"

namespace recserve {

namespace {

constexpr size_t kMaxOfRow = size_t{1} << 16;
constexpr size_t kMaxOfAll = size_t{1} << 26;

/// Gives the product of `lists[from...]`, each put behind what `joined` holds.
void product(std::span<const Tokens> lists, std::string& joined, Sink& sink) {
  const size_t length = joined.size();
  const Tokens& list = lists[0];
  for (size_t i = 0; i < list.size() && !sink.full(); ++i) {
    joined.append(list[i]);
    if (lists.size() == 1) {
      sink.token(std::string_view(joined));
    } else {
      joined.push_back('_');
      product(lists.subspan(1), joined, sink);
    }
    joined.resize(length);
  }
}

}  // namespace

void CombinationLimit::add(std::span<const size_t> sizes, size_t limit) {
  size_t combinations = 1;  // the sizes are int32: below 2^16 * 2^31, it cannot overflow
  for (size_t size : sizes) combinations = std::min(combinations * size, 2 * kMaxOfRow);
  if (limit != 0) combinations = std::min(combinations, limit);
  made_ += combinations;
  if (combinations > kMaxOfRow) {
    throw RequestError("combines lists that have over " + std::to_string(kMaxOfRow) +
                       " combinations in one row; shorten them, or give the feature a value_dim");
  }
  if (made_ > kMaxOfAll) {
    throw RequestError("combines lists that have over " + std::to_string(kMaxOfAll) +
                       " combinations together; send fewer rows, or give the feature a value_dim");
  }
}

std::optional<Column> ComboKernel::whole(std::span<const Cells> inputs, int64_t rows,
                                         const Rules& rules) const {
  return plain_combos(rules, inputs, rows, separator_);
}

void ComboKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  std::vector<Tokens> lists(inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (inputs[k].constant()) lists[k].read(inputs[k], 0, separator_);
  }
  CombinationLimit combinations;
  std::vector<size_t> sizes(inputs.size());
  std::string joined;
  for (int64_t i = 0; i < rows; ++i) {
    bool missing = false;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (!inputs[k].constant()) lists[k].read(inputs[k], i, separator_);
      sizes[k] = lists[k].size();
      missing |= lists[k].empty();
    }
    combinations.add(sizes, static_cast<size_t>(sink.rules().limit));
    if (!missing) product(lists, joined, sink);
    sink.end_row();
  }
}

}  // namespace recserve
