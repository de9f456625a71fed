// Item rows that tell whether they are torn: every cell of a row says the same version.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "items/store.h"

namespace recserve::items {

inline constexpr int kNumbers = 12;

inline std::string number_name(int i) { return std::string("n").append(std::to_string(i)); }

inline ColumnTypes version_columns() {
  ColumnTypes types;
  for (int i = 0; i < kNumbers; ++i) types.emplace_back(number_name(i), ColumnType{.type = Type::Int64});
  types.emplace_back("text", ColumnType{});
  types.emplace_back("list", ColumnType{.shape = Shape::List, .type = Type::Int64});
  return types;
}

inline ItemStore version_store(bool text_keys = false) {
  return ItemStore({.text_keys = text_keys, .raw = version_columns()});
}

inline Selection everything(const ItemStore& store) {
  Selection all;
  all.raw.resize(store.layout().fields.size());
  std::iota(all.raw.begin(), all.raw.end(), 0);
  return all;
}

/// Rows in which every cell says the same version: numbers, a text, and a list of version % 4 of them.
inline Batch version_rows(int64_t rows, int64_t version) {
  Batch batch(rows);
  for (int i = 0; i < kNumbers; ++i)
    batch.add(number_name(i), column_of(std::vector<int64_t>(rows, version)));
  const std::string text = "version " + std::to_string(version);
  batch.add("text", column_of(std::vector<std::string_view>(rows, text)));
  auto list = std::make_shared<Column>();
  list->shape = Shape::List;
  list->rows = rows;
  std::vector<int32_t> offsets;
  for (int64_t row = 0; row <= rows; ++row) offsets.push_back(static_cast<int32_t>(row * (version % 4)));
  list->offsets = Array<int32_t>(std::move(offsets));
  list->values = values_of(std::vector<int64_t>(rows * (version % 4), version));
  batch.add("list", std::move(list));
  return batch;
}

/// The version that row `row` says in all of its cells; -1 when they disagree: a torn row.
inline int64_t version_of(const Batch& raw, int64_t row) {
  const int64_t version = raw.find("n0")->values.as<int64_t>()[row];
  for (int i = 1; i < kNumbers; ++i) {
    if (raw.find(number_name(i))->values.as<int64_t>()[row] != version) return -1;
  }
  if (raw.find("text")->values.text(row) != "version " + std::to_string(version)) return -1;
  const Column& list = *raw.find("list");
  if (list.offsets[row + 1] - list.offsets[row] != version % 4) return -1;
  for (int32_t i = list.offsets[row]; i < list.offsets[row + 1]; ++i) {
    if (list.values.as<int64_t>()[i] != version) return -1;
  }
  return version;
}

inline void upsert(ItemStore& store, const std::vector<int64_t>& keys, int64_t version) {
  store.publish(store.prepare(version_rows(static_cast<int64_t>(keys.size()), version), column_of(keys)));
}

inline Gathered gather(const ItemStore& store, const Epochs::Pin& pin, const std::vector<int64_t>& keys) {
  return store.gather(pin, Keys(store.text_keys(), *column_of(keys)), everything(store));
}

/// Keys of one group are always written together, so one pin must see one version of all of them.
inline std::vector<int64_t> group(int64_t number, int64_t size) {
  std::vector<int64_t> keys(size);
  std::iota(keys.begin(), keys.end(), number * size);
  return keys;
}

}  // namespace recserve::items
