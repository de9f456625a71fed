#include "items/results.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "columns/error.h"
#include "items/cell_codec.h"

namespace recserve::items {

namespace {

constexpr int64_t kLeastEntries = 100;
constexpr int64_t kAny = UINT32_MAX - 1;

int64_t most_entries(uint64_t budget_bytes, int64_t entry_bytes) {
  if (budget_bytes == 0) return kAny;
  const auto most = static_cast<int64_t>(budget_bytes / static_cast<uint64_t>(entry_bytes));
  if (most >= kLeastEntries) return std::min(most, kAny);
  throw DataError("item_results: " + std::to_string(budget_bytes) + " bytes hold " + std::to_string(most) +
                  " items of " + std::to_string(entry_bytes) + " bytes; give room for some hundred, or off");
}

}  // namespace

ItemResults::ItemResults(std::vector<std::string> names, std::vector<int64_t> widths, uint64_t budget_bytes)
    : names_(std::move(names)),
      widths_(std::move(widths)),
      width_(std::accumulate(widths_.begin(), widths_.end(), int64_t{0})),
      entries_(static_cast<int32_t>((kFloats + width_ * static_cast<int64_t>(sizeof(float)) + 7) / 8 * 8)),
      index_(sizeof(uint32_t)),
      most_(most_entries(budget_bytes, bytes_per_item())) {
  if (names_.size() != widths_.size()) throw DataError("item results: as many names as widths, please");
  entries_.allocate();  // entry 0
}

// --- reading -----------------------------------------------------------------------------------------------

/// The entry of a version, or null. With a pin of `epochs_`.
const uint8_t* ItemResults::kept(uint32_t row, uint64_t born, uint64_t covered) const {
  if (row >= covered) return nullptr;
  const uint32_t entry = entry_of(row).load(std::memory_order_acquire);
  if (entry == 0) return nullptr;
  const uint8_t* at = entries_.at(entry);
  return load<uint64_t>(at + kBorn) == born ? at : nullptr;
}

std::vector<int64_t> ItemResults::missing(const Found& found) {
  const Epochs::Pin pin = epochs_.pin();
  const uint64_t covered = covered_.load(std::memory_order_acquire);
  std::vector<int64_t> missing;
  for (size_t i = 0; i < found.rows.size(); ++i)
    if (kept(found.rows[i], found.born[i], covered) == nullptr) missing.push_back(static_cast<int64_t>(i));
  return missing;
}

std::pair<std::shared_ptr<ModelInputs>, std::vector<int64_t>> ItemResults::with_results(
    const ModelInputs& inputs, const Found& found) {
  const auto rows = static_cast<int64_t>(found.rows.size());
  auto whole = std::make_shared<ModelInputs>();
  whole->names = names_behind(inputs);
  whole->ints = inputs.ints;
  whole->int_sizes = inputs.int_sizes;
  whole->float_sizes = inputs.float_sizes;
  for (const int64_t width : widths_) whole->float_sizes.push_back(rows * width);
  whole->floats.resize(inputs.floats.size() + rows * width_);
  std::copy(inputs.floats.begin(), inputs.floats.end(), whole->floats.begin());
  float* const behind = whole->floats.data() + inputs.floats.size();

  const Epochs::Pin pin = epochs_.pin();
  const uint64_t covered = covered_.load(std::memory_order_acquire);
  std::vector<int64_t> missing;
  constexpr int64_t kAhead = 8;  // rows whose cache misses overlap
  std::vector<const uint8_t*> at(rows);
  const auto find = [&](int64_t i) {
    at[i] = kept(found.rows[i], found.born[i], covered);
    for (int64_t byte = 0; at[i] != nullptr && byte < std::min<int64_t>(entries_.slot_bytes(), 1024);
         byte += 64)
      __builtin_prefetch(at[i] + byte);
  };
  for (int64_t i = 0; i < std::min(kAhead, rows); ++i) find(i);
  for (int64_t i = 0; i < rows; ++i) {
    if (i + kAhead < rows) find(i + kAhead);
    if (at[i] == nullptr) {
      missing.push_back(i);
      continue;
    }
    std::atomic_ref<uint8_t> used(const_cast<uint8_t&>(at[i][kUsed]));
    if (used.load(std::memory_order_relaxed) == 0) used.store(1, std::memory_order_relaxed);
    const uint8_t* from = at[i] + kFloats;
    float* block = behind;
    for (const int64_t width : widths_) {
      std::memcpy(block + i * width, from, width * sizeof(float));
      from += width * sizeof(float);
      block += rows * width;
    }
  }
  const auto misses = static_cast<int64_t>(missing.size());
  hits_.fetch_add(rows - misses, std::memory_order_relaxed);
  if (misses > 0) misses_.fetch_add(misses, std::memory_order_relaxed);
  return {std::move(whole), std::move(missing)};
}

std::shared_ptr<const ModelInputs::Names> ItemResults::names_behind(const ModelInputs& inputs) {
  std::lock_guard lock(names_mutex_);
  auto& behind = behind_[inputs.names];
  if (behind == nullptr) {
    auto names = std::make_shared<ModelInputs::Names>(*inputs.names);
    names->floats.insert(names->floats.end(), names_.begin(), names_.end());
    names->float_widths.insert(names->float_widths.end(), widths_.begin(), widths_.end());
    behind = std::move(names);
  }
  return behind;
}

void ItemResults::fill(ModelInputs& inputs, std::span<const int64_t> missing,
                       const std::vector<const float*>& floats) const {
  const int64_t rows = inputs.float_sizes.back() / widths_.back();
  float* block = inputs.floats.data() + inputs.floats.size() - rows * width_;
  for (size_t k = 0; k < widths_.size(); ++k) {
    const int64_t width = widths_[k];
    for (size_t i = 0; i < missing.size(); ++i)
      std::copy_n(floats[k] + static_cast<int64_t>(i) * width, width, block + missing[i] * width);
    block += rows * width;
  }
}

// --- writing -----------------------------------------------------------------------------------------------

void ItemResults::add(const Found& found, const std::vector<const float*>& floats) {
  std::lock_guard lock(mutex_);
  reclaim();
  cover(found);
  make_room(static_cast<int64_t>(found.rows.size()));
  for (size_t i = 0; i < found.rows.size() && room() > 0; ++i) {
    const uint32_t row = found.rows[i];
    const uint32_t old = entry_of(row).load(std::memory_order_relaxed);
    if (old != 0 && load<uint64_t>(entries_.at(old) + kBorn) == found.born[i]) continue;  // by another thread
    const uint32_t entry = entries_.allocate();
    uint8_t* at = entries_.at(entry);
    std::memcpy(at + kBorn, &found.born[i], sizeof(uint64_t));
    std::memcpy(at + kRow, &row, sizeof(uint32_t));
    at[kUsed] = 1;
    uint8_t* to = at + kFloats;
    for (size_t k = 0; k < widths_.size(); ++k) {
      const int64_t bytes = widths_[k] * static_cast<int64_t>(sizeof(float));
      std::memcpy(to, floats[k] + static_cast<int64_t>(i) * widths_[k], bytes);
      to += bytes;
    }
    entry_of(row).store(entry, std::memory_order_release);
    ++live_;
    if (old != 0) retire(old);
  }
  epochs_.advance();
}

/// The index gets cells for all rows: readers see how many only when they are there.
void ItemResults::cover(const Found& found) {
  const uint32_t last = found.rows.empty() ? 0 : *std::max_element(found.rows.begin(), found.rows.end());
  while (index_.allocated() <= last) index_.allocate();
  covered_.store(static_cast<uint64_t>(index_.allocated()), std::memory_order_release);
}

/// Lets entries go until there is room, or the hand has come round twice.
void ItemResults::make_room(int64_t entries) {
  int64_t wanted = std::min(entries - room(), live_);
  if (wanted <= 0) return;
  const auto count = static_cast<uint32_t>(entries_.allocated());
  for (uint32_t step = 0; wanted > 0 && step < 2 * count; ++step) {
    hand_ = hand_ + 1 < count ? hand_ + 1 : 1;
    uint8_t* at = entries_.at(hand_);
    const auto row = load<uint32_t>(at + kRow);
    if (row == kNobody || entry_of(row).load(std::memory_order_relaxed) != hand_) continue;
    std::atomic_ref<uint8_t> used(at[kUsed]);
    if (used.load(std::memory_order_relaxed) != 0) {
      used.store(0, std::memory_order_relaxed);
      continue;
    }
    entry_of(row).store(0, std::memory_order_release);
    retire(hand_);
    ++evicted_;
    --wanted;
  }
  epochs_.advance();
  reclaim();
}

/// Nobody finds it any more; with the next advance nobody begins to look at it either.
void ItemResults::retire(uint32_t entry) {
  --live_;
  retired_.emplace_back(epochs_.current() + 1, entry);
}

void ItemResults::reclaim() {
  const uint64_t oldest = epochs_.oldest();
  for (; !retired_.empty() && retired_.front().first <= oldest; retired_.pop_front()) {
    const uint32_t entry = retired_.front().second;
    std::memcpy(entries_.at(entry) + kRow, &kNobody, sizeof(uint32_t));
    entries_.release(entry);
  }
}

ResultFigures ItemResults::figures() const {
  std::lock_guard lock(mutex_);
  return {.entries = live_,
          .bytes = entries_.bytes() + index_.bytes(),
          .hits = hits_.load(std::memory_order_relaxed),
          .misses = misses_.load(std::memory_order_relaxed),
          .evicted = evicted_};
}

}  // namespace recserve::items
