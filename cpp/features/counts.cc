#include "features/counts.h"

#include "columns/error.h"
#include "features/sequence.h"

namespace recserve {

namespace {

constexpr size_t kShownBytes = 100;  // of a cell, in a message

std::string message(std::string_view text, const std::string* column) {
  std::string shown(text.substr(0, kShownBytes));
  if (shown.size() < text.size()) shown += "...";
  if (column == nullptr) return "has the value '" + shown + "', which is not a number its bucketizer takes";
  return "reads column '" + *column + "': '" + shown + "' is not a number";
}

}  // namespace

void Counts::unparsable(std::string_view text, const std::string* column) {
  if (strict) throw DataError(message(text, column));
  add(Problem::UnparsableNumber);
  if (failures == nullptr || row == nullptr) return;
  const int64_t at = elements == nullptr ? *row : elements->row_of(*row);
  if (!failures->contains(at)) failures->emplace(at, "feature '" + *feature + "' " + message(text, column));
}

}  // namespace recserve
