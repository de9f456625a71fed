#include "features/combo.h"

namespace recserve {

namespace {

/// Gives the product of `lists[from...]`, each put behind what `joined` holds.
void product(std::span<const Texts> lists, std::string& joined, Sink& sink) {
  const size_t length = joined.size();
  const Texts& list = lists[0];
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

void ComboKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  std::vector<Texts> lists(inputs.size());
  const auto read = [&](size_t k, int64_t row) {
    lists[k].clear();
    for_each_text(inputs[k], row, separator_, [&](std::string_view token) { lists[k].append(token); });
  };
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (inputs[k].constant()) read(k, 0);
  }
  std::string joined;
  for (int64_t i = 0; i < rows; ++i) {
    bool missing = false;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (!inputs[k].constant()) read(k, i);
      missing |= lists[k].empty();
    }
    if (!missing) product(lists, joined, sink);
    sink.end_row();
  }
}

}  // namespace recserve
