#include "items/keys.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "columns/text.h"

namespace recserve::items {

Keys::Keys(bool text, const Column& ids) : text_(text) {
  const Type type = ids.values.type;
  if (ids.shape != Shape::Scalar || ids.width != 1 || type == Type::Float32 || type == Type::Float64) {
    throw RequestError(std::string("ids are texts or integers, one per item; got ") + name_of(ids.shape) +
                       " " + name_of(type));
  }
  reserve(ids.rows);
  for (int64_t row = 0; row < ids.rows; ++row) {
    if (ids.is_valid(row)) {
      add_row(ids, row);
    } else {
      add_none();
    }
  }
}

void Keys::reserve(int64_t keys) {
  none_.reserve(keys);
  hashes_.reserve(keys);
  if (text_) {
    texts_.reserve(keys);
  } else {
    ints_.reserve(keys);
  }
}

void Keys::add_row(const Column& ids, int64_t row) {
  switch (ids.values.type) {
    case Type::String: add(ids.values.text(row)); break;
    case Type::Int32: add(int64_t{ids.values.as<int32_t>()[row]}); break;
    default: add(ids.values.as<int64_t>()[row]); break;
  }
}

void Keys::add(std::string_view id) {
  if (id.empty()) {
    add_none();
  } else if (text_) {
    texts_.push_back(id);
    hashes_.push_back(hash_of(id));
    none_.push_back(0);
  } else if (auto number = parse_int64(id)) {
    add(*number);
  } else {
    add_none();
  }
}

void Keys::add(int64_t id) {
  if (text_) {
    formatted_.emplace_back();
    add(format(id, formatted_.back().data()));
  } else {
    ints_.push_back(id);
    hashes_.push_back(hash_of(id));
    none_.push_back(0);
  }
}

void Keys::add_none() {
  if (text_) {
    texts_.emplace_back();
  } else {
    ints_.push_back(0);
  }
  hashes_.push_back(0);
  none_.push_back(1);
}

void KeysBuilder::add(std::string_view bytes) {
  if (text_) {
    texts_.append(bytes);
  } else {
    std::memcpy(&ints_.emplace_back(), bytes.data(), sizeof(int64_t));
  }
}

ColumnPtr KeysBuilder::finish() {
  if (!text_) return column_of(std::move(ints_));
  auto column = std::make_shared<Column>();
  column->rows = texts_.size();
  column->values = texts_.finish();
  return column;
}

namespace {

template <class T>
void add_numbers(Keys& keys, const Values& values, int64_t from, int64_t to) {
  for (int64_t i = from; i < to; ++i) keys.add(int64_t{values.as<T>()[i]});
}

}  // namespace

Keys sequence_keys(bool text, const Column& column, std::string_view delimiter, int64_t length,
                   const std::string& group, const std::string& name) {
  const Type type = column.values.type;
  const bool list = column.shape == Shape::List;
  if ((!list && (column.shape != Shape::Scalar || column.width != 1)) || type == Type::Float32 ||
      type == Type::Float64) {
    throw RequestError("user column '" + name + "' holds the item ids of sequence '" + group +
                       "': send a text, a list of texts or integers, or an integer; got " +
                       name_of(column.shape) + " " + name_of(type));
  }
  Keys keys(text);
  if (column.rows == 0 || column.missing(0)) return keys;
  keys.reserve(list ? column.offsets[1] - column.offsets[0] : column.values.data.size() / 8);
  if (!list && type == Type::String) {
    for_each_element(column.values.text(0), delimiter, length, [&](std::string_view id) { keys.add(id); });
    return keys;
  }
  const int64_t from = list ? column.offsets[0] : 0;
  int64_t to = list ? column.offsets[1] : 1;
  if (length > 0) to = std::min(to, from + length);
  switch (type) {
    case Type::String:
      for (int64_t i = from; i < to; ++i) keys.add(column.values.text(i));
      break;
    case Type::Int32: add_numbers<int32_t>(keys, column.values, from, to); break;
    default: add_numbers<int64_t>(keys, column.values, from, to); break;
  }
  return keys;
}

}  // namespace recserve::items
