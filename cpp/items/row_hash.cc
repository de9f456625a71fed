#include "items/row_hash.h"

#include "columns/text.h"
#include "items/cell_codec.h"

namespace recserve::items {

namespace {

/// Every bit of `x` reaches every bit of the result.
uint64_t scramble(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t fold(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0xff51afd7ed558ccd;
  return hash ^ (hash >> 32);
}

uint64_t fold_bytes(uint64_t hash, const uint8_t* at, int64_t size) {
  hash = fold(hash, static_cast<uint64_t>(size));
  for (; size >= 8; size -= 8, at += 8) hash = fold(hash, load<uint64_t>(at));
  return size == 0 ? hash : fold(hash, short_word(reinterpret_cast<const char*>(at), size));
}

uint64_t fold_text(uint64_t hash, std::string_view text) {
  return fold_bytes(hash, reinterpret_cast<const uint8_t*>(text.data()), static_cast<int64_t>(text.size()));
}

/// Values [from, to), so that no two runs of values look alike.
uint64_t fold_values(uint64_t hash, const Values& values, int64_t from, int64_t to) {
  if (values.type == Type::String) {
    hash = fold(hash, static_cast<uint64_t>(to - from));
    for (int64_t i = from; i < to; ++i) hash = fold_text(hash, values.text(i));
    return hash;
  }
  const int64_t width = width_of(values.type);
  return fold_bytes(hash, values.data.data() + from * width, (to - from) * width);
}

uint64_t fold_ragged(uint64_t hash, const Column& column, int64_t row) {
  int64_t from = column.offsets[row], to = column.offsets[row + 1];
  if (column.shape == Shape::Nested) {
    hash = fold(hash, static_cast<uint64_t>(to - from));
    for (int64_t i = from; i < to; ++i)
      hash = fold(hash, static_cast<uint64_t>(column.inner[i + 1] - column.inner[i]));
    if (from == to) return hash;  // an empty column may have no inner offsets
    from = column.inner[from];
    to = column.inner[to];
  }
  if (column.shape == Shape::Map) hash = fold_values(hash, column.keys, from, to);
  return fold_values(hash, column.values, from, to);
}

/// Adds `cell(row)` to the sum of every row in which the column is present.
template <class Cell>
void add_cells(const Column& column, std::vector<uint64_t>& sums, Cell&& cell) {
  const auto rows = static_cast<int64_t>(sums.size());
  if (column.rows == 1) {
    const uint64_t every = column.is_valid(0) ? cell(0) : 0;
    for (uint64_t& sum : sums) sum += every;
  } else if (column.valid.empty()) {
    for (int64_t row = 0; row < rows; ++row) sums[row] += cell(row);
  } else {
    for (int64_t row = 0; row < rows; ++row) sums[row] += column.is_valid(row) ? cell(row) : 0;
  }
}

template <class Word>
void add_numbers(const Column& column, uint64_t seed, std::vector<uint64_t>& sums) {
  const uint8_t* at = column.values.data.data();
  add_cells(column, sums, [=](int64_t row) { return scramble(seed ^ load<Word>(at + row * sizeof(Word))); });
}

void add_column(const std::string& name, const Column& column, std::vector<uint64_t>& sums) {
  const Values& values = column.values;
  const uint64_t seed = scramble(fold_text(fold_text(0, name), name_of(column_type(column))));
  if (column.shape != Shape::Scalar) {
    add_cells(column, sums, [&](int64_t row) { return scramble(fold_ragged(seed, column, row)); });
  } else if (values.type == Type::String) {
    add_cells(column, sums, [&](int64_t row) { return scramble(fold_text(seed, values.text(row))); });
  } else if (column.width > 1) {
    add_cells(column, sums, [&](int64_t row) {
      return scramble(fold_values(seed, values, row * column.width, (row + 1) * column.width));
    });
  } else if (width_of(values.type) == 4) {
    add_numbers<uint32_t>(column, seed, sums);
  } else {
    add_numbers<uint64_t>(column, seed, sums);
  }
}

}  // namespace

ColumnPtr hash_rows(const Batch& batch) {
  // A sum of cells that are scrambled one by one: columns are read one after the other, in any order.
  std::vector<uint64_t> sums(batch.rows(), 0);
  for (const auto& [name, column] : batch.columns()) add_column(name, *column, sums);
  std::vector<int64_t> hashes(batch.rows());
  for (int64_t row = 0; row < batch.rows(); ++row) hashes[row] = static_cast<int64_t>(scramble(sums[row]));
  return column_of(std::move(hashes));
}

}  // namespace recserve::items
