#include "features/memo.h"

namespace recserve {

namespace {

/// What a key costs beside its characters: its node in the table.
constexpr int64_t kBytesPerKey = 64;

int64_t bytes_of(const Values& values) {
  return values.data.size() + values.offsets.size() * static_cast<int64_t>(sizeof(int32_t));
}

int64_t bytes_of(const std::vector<std::string>& keys, const Column& column) {
  int64_t bytes = bytes_of(column.values) + bytes_of(column.keys) + column.valid.size();
  bytes += (column.offsets.size() + column.inner.size()) * static_cast<int64_t>(sizeof(int32_t));
  for (const std::string& key : keys) bytes += kBytesPerKey + static_cast<int64_t>(key.size());
  return bytes;
}

}  // namespace

void Memo::add(std::vector<std::string> keys, ColumnPtr column) {
  const auto count = static_cast<int64_t>(keys.size());
  const int64_t bytes = bytes_of(keys, *column);
  if (count > max_keys_ || bytes > max_bytes_) return;
  std::shared_ptr<Page> full;  // freed when the locks are
  const std::lock_guard turn(turnstile_);
  const std::unique_lock lock(mutex_);
  if (static_cast<int64_t>(page_->results.size()) + count > max_keys_ || page_->bytes + bytes > max_bytes_) {
    full = std::exchange(page_, std::make_shared<Page>());
  }
  for (int64_t i = 0; i < count; ++i) page_->results.try_emplace(std::move(keys[i]), column.get(), i);
  page_->columns.push_back(std::move(column));
  page_->bytes += bytes;
}

int64_t Memo::keys() const {
  const std::shared_lock lock(mutex_);
  return static_cast<int64_t>(page_->results.size());
}

int64_t Memo::bytes() const {
  const std::shared_lock lock(mutex_);
  return page_->bytes;
}

}  // namespace recserve
