#include "features/combo.h"

#include "features/plain.h"

namespace recserve {

namespace {

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

std::optional<Column> ComboKernel::whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const {
  return plain_combos(rules, inputs, rows, separator_);
}

void ComboKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  std::vector<Tokens> lists(inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (inputs[k].constant()) lists[k].read(inputs[k], 0, separator_);
  }
  std::string joined;
  for (int64_t i = 0; i < rows; ++i) {
    bool missing = false;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (!inputs[k].constant()) lists[k].read(inputs[k], i, separator_);
      missing |= lists[k].empty();
    }
    if (!missing) product(lists, joined, sink);
    sink.end_row();
  }
}

}  // namespace recserve
