#include "items/refresh.h"

#include <algorithm>
#include <bit>

#include "items/cell_codec.h"

namespace recserve::items {

namespace {

/// Rows that are decided while the writers wait, some hundred microseconds.
constexpr int64_t kRowsAtOnce = 2048;
constexpr uint64_t kCellsAtOnce = 1 << 14;
constexpr int64_t kLeast = INT64_MIN;

bool bit(const std::vector<uint64_t>& bits, uint32_t row) {
  const size_t word = row >> 6;
  return word < bits.size() && ((bits[word] >> (row & 63)) & 1) != 0;
}

void set_bit(std::vector<uint64_t>& bits, uint32_t row, bool value) {
  const size_t word = row >> 6;
  if (word >= bits.size()) bits.resize(word + 1, 0);
  const uint64_t mask = uint64_t{1} << (row & 63);
  bits[word] = value ? bits[word] | mask : bits[word] & ~mask;
}

const Field& hash_field(const Layout& layout, const std::string& name) {
  const auto end = layout.fields.begin() + layout.raw_fields;
  const auto field = std::find_if(layout.fields.begin(), end, [&](const Field& f) { return f.name == name; });
  if (field == end || field->type != ColumnType{.type = Type::Int64} || field->limit != 0) {
    throw DataError("a refresh compares hashes in '" + name +
                    "', which is no raw int64 column of the store; declare it without a limit");
  }
  return *field;
}

void check_scalar(const Column& column, int64_t rows, const char* what) {
  const bool integers = column.values.type == Type::Int64 || column.values.type == Type::Int32;
  if (column.shape == Shape::Scalar && column.width == 1 && integers && column.rows == rows) return;
  throw DataError(std::string("the ") + what + " of a refresh are one integer per row; got " +
                  std::to_string(column.rows) + " rows of " + name_of(column_type(column)) + " for " +
                  std::to_string(rows) + " keys");
}

std::span<const int64_t> hashes_of(const Column& column, int64_t rows) {
  check_scalar(column, rows, "hashes");
  if (column.values.type != Type::Int64 || !column.valid.empty())
    throw DataError("the hashes of a refresh are int64 without nulls, as hash_rows gives them");
  return column.values.as<int64_t>();
}

std::vector<int64_t> orders_of(const Column* column, int64_t rows) {
  std::vector<int64_t> orders(rows, kLeast);
  if (column == nullptr) return orders;
  check_scalar(*column, rows, "order");
  const bool narrow = column->values.type == Type::Int32;
  for (int64_t i = 0; i < rows; ++i) {
    if (!column->is_valid(i)) continue;
    orders[i] = narrow ? int64_t{column->values.as<int32_t>()[i]} : column->values.as<int64_t>()[i];
  }
  return orders;
}

/// Of equal keys one is left: the one with the greatest order, of these the last.
std::vector<uint8_t> winners(const Keys& keys, std::span<const int64_t> orders) {
  std::vector<uint8_t> wins(keys.size(), 1);
  const uint64_t mask = std::bit_ceil(static_cast<uint64_t>(keys.size()) * 2 + 1) - 1;
  std::vector<int32_t> table(mask + 1, -1);
  for (int64_t i = 0; i < keys.size(); ++i) {
    if (keys.none(i))
      throw DataError("item row " + std::to_string(i) + " has no key: null, empty or no integer");
    uint64_t at = keys.hash(i) & mask;
    while (table[at] >= 0 && keys.bytes(table[at]) != keys.bytes(i)) at = (at + 1) & mask;
    const int32_t other = table[at];
    const bool loses = other >= 0 && orders[i] < orders[other];
    if (other >= 0) wins[loses ? i : other] = 0;
    if (!loses) table[at] = static_cast<int32_t>(i);
  }
  return wins;
}

}  // namespace

Refresh::Refresh(ItemStore& store, const std::string& hash_column)
    : store_(store), hash_(&hash_field(store.layout_, hash_column)) {
  std::lock_guard lock(store_.mutex_);
  store_.refreshes_.push_back(this);
}

Refresh::~Refresh() {
  std::lock_guard lock(store_.mutex_);
  std::erase(store_.refreshes_, this);
}

RefreshFigures Refresh::figures() const {
  std::lock_guard lock(store_.mutex_);
  return figures_;
}

// --- what must be written ----------------------------------------------------------------------------------

std::vector<uint8_t> Refresh::changed(const Column& ids, const Column& hashes, const Column* order) {
  const Keys keys(store_.text_keys(), ids);
  const std::span<const int64_t> hash = hashes_of(hashes, keys.size());
  const std::vector<int64_t> orders = orders_of(order, keys.size());
  std::vector<uint8_t> write = winners(keys, orders);
  const Span span[] = {{hash_->offset, hash_->offset + hash_->cell_bytes}};
  std::vector<uint32_t> rows(keys.size());
  for (int64_t from = 0; from < keys.size(); from += kRowsAtOnce) {
    const int64_t to = std::min(from + kRowsAtOnce, keys.size());
    std::lock_guard lock(store_.mutex_);
    // With the mutex held, what a pin sees is what there is.
    const Epochs::Pin pin = store_.pin();
    store_.look_up_range(pin, keys, from, to, span, rows);
    for (int64_t i = from; i < to; ++i) {
      figures_.repeated += !write[i];
      if (write[i]) write[i] = decide(keys.bytes(i), hash[i], orders[i], rows[i]);
    }
  }
  return write;
}

bool Refresh::decide(std::string_view key, int64_t hash, int64_t order, uint32_t row) {
  if (!protected_.empty() && protected_.contains(key)) {
    ++figures_.protected_;
    return false;
  }
  const bool equal = row != 0 && stored(row, hash);
  if (auto flying = in_flight_.find(key); flying != in_flight_.end()) {
    InFlight& last = flying->second;
    ++figures_.repeated;
    if (order < last.order) return false;
    last.order = order;
    if (hash == last.hash) return false;
    last.hash = hash;  // whatever else is in flight will not land
    if (equal) return keep(row, order);
    ++last.rows;
    return true;
  }
  if (row != 0 && seen(row)) {
    ++figures_.repeated;
    if (row < orders_.size() && order < orders_[row]) return false;
  }
  if (equal) return keep(row, order);
  in_flight_.emplace(key, InFlight{order, hash, 1});
  return true;
}

/// What is stored is what the table says.
bool Refresh::keep(uint32_t row, int64_t order) {
  figures_.seen += !seen(row);
  figures_.unchanged += !seen(row);
  mark(row, true, order);
  return false;
}

void Refresh::check_hash(std::span<const uint32_t> rows) const {
  for (uint32_t row : rows) {
    if (!has_hash(store_.slots_.at(row)))
      throw DataError("a row that is published for a refresh has no hash in '" + hash_->name + "'");
  }
}

bool Refresh::lands(std::string_view key, const uint8_t* slot) {
  landed_order_ = kLeast;
  bool wins = true;
  if (auto flying = in_flight_.find(key); flying != in_flight_.end()) {
    InFlight& last = flying->second;
    wins = has_hash(slot) && load<int64_t>(slot + hash_->offset) == last.hash;
    landed_order_ = last.order;
    if (--last.rows == 0) in_flight_.erase(flying);
  }
  if (!protected_.empty() && protected_.contains(key)) {
    ++figures_.protected_;
    return false;
  }
  return wins;
}

void Refresh::follow(uint32_t old, uint32_t row, bool ours) {
  const bool before = old != 0 && seen(old);
  const int64_t order = before && old < orders_.size() ? orders_[old] : kLeast;
  figures_.written += ours;
  figures_.seen += ours && !before;
  mark(row, before || ours, ours ? landed_order_ : order);
  if (!listed_.empty()) set_bit(listed_, row, old != 0 && bit(listed_, old));
}

// --- marks -------------------------------------------------------------------------------------------------

bool Refresh::has_hash(const uint8_t* slot) const {
  const int32_t present = hash_->present_bit;
  return ((slot[store_.layout_.bits + (present >> 3)] >> (present & 7)) & 1) != 0;
}

bool Refresh::stored(uint32_t row, int64_t hash) const {
  const uint8_t* slot = store_.slots_.at(row);
  return has_hash(slot) && load<int64_t>(slot + hash_->offset) == hash;
}

bool Refresh::seen(uint32_t row) const { return bit(seen_, row); }

void Refresh::mark(uint32_t row, bool seen, int64_t order) {
  set_bit(seen_, row, seen);
  if (order != kLeast && row >= orders_.size()) orders_.resize(row + 1, kLeast);
  if (row < orders_.size()) orders_[row] = order;
}

void Refresh::protect(const Column& ids) {
  const Keys keys(store_.text_keys(), ids);
  std::lock_guard lock(store_.mutex_);
  for (int64_t i = 0; i < keys.size(); ++i) {
    if (!keys.none(i)) protected_.emplace(keys.bytes(i));
  }
}

// --- what the table did not have ---------------------------------------------------------------------------

bool Refresh::unseen(uint32_t row) const {
  if (seen(row) || bit(listed_, row)) return false;  // most are, and their slots stay untouched
  const uint8_t* slot = store_.slots_.at(row);
  return !store_.is_tombstone(row) && has_hash(slot) &&
         (protected_.empty() ||
          !protected_.contains(store_.key_cells_.bytes_of(slot + Layout::kKey, store_.text_keys())));
}

Refresh::Unseen::Unseen(Refresh& refresh) : refresh_(refresh) {
  std::lock_guard lock(refresh_.store_.mutex_);
  refresh_.listed_.clear();
}

ColumnPtr Refresh::Unseen::next(int64_t rows) {
  ItemStore& store = refresh_.store_;
  KeysBuilder keys(store.text_keys());
  for (bool more = true; more && keys.size() < rows;) {
    std::lock_guard lock(store.mutex_);
    if (generation_ != store.index_.generation()) at_ = 0;
    generation_ = store.index_.generation();
    const Index::Table& table = store.index_.table();
    const uint64_t to = std::min(at_ + kCellsAtOnce, table.cells());
    for (; at_ < to && keys.size() < rows; ++at_) {
      const uint32_t row = table.cell(at_).row.load(std::memory_order_relaxed);
      if (row == 0 || row == Index::kDeleted || !refresh_.unseen(row)) continue;
      set_bit(refresh_.listed_, row, true);
      keys.add(store.key_cells_.bytes_of(store.slots_.at(row) + Layout::kKey, store.text_keys()));
    }
    more = at_ < table.cells();
  }
  return keys.size() == 0 ? nullptr : keys.finish();
}

}  // namespace recserve::items
