#include "wire/column_writer.h"

#include <cmath>
#include <limits>

#include "columns/text.h"

namespace recserve::wire {

void ValuesWriter::start(Type type) {
  type_ = type;
  size_ = 0;
  data_.clear();
  offsets_.clear();
  if (type == Type::String) offsets_.push_back(0);
}

template <class T>
bool ValuesWriter::put(T number) {
  auto* bytes = reinterpret_cast<const uint8_t*>(&number);
  data_.insert(data_.end(), bytes, bytes + sizeof number);
  ++size_;
  return true;
}

void ValuesWriter::write(std::string_view text) {
  auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  data_.insert(data_.end(), bytes, bytes + text.size());
}

bool ValuesWriter::put_text(std::string_view text) {
  write(text);
  if (data_.size() > INT32_MAX) throw RequestError("a column of the request holds more than 2 GiB of text");
  offsets_.push_back(static_cast<int32_t>(data_.size()));
  ++size_;
  return true;
}

bool ValuesWriter::append(const Scalar& scalar) {
  switch (scalar.kind()) {
    case Scalar::Kind::Whole: return append_whole(scalar.whole());
    case Scalar::Kind::Real: return append_real(scalar.real());
    case Scalar::Kind::Text: return append_text(scalar.text());
  }
  return false;
}

bool ValuesWriter::append_whole(int64_t number) {
  char digits[kNumberChars];
  switch (type_) {
    case Type::Int32: return number == static_cast<int32_t>(number) && put(static_cast<int32_t>(number));
    case Type::Int64: return put(number);
    case Type::Float32: return put(static_cast<float>(number));
    case Type::Float64: return put(static_cast<double>(number));
    case Type::String: return put_text(format(number, digits));
  }
  return false;
}

bool ValuesWriter::append_real(double number) {
  char digits[kNumberChars];
  switch (type_) {
    case Type::Int32:
    case Type::Int64: {
      constexpr double kTwoTo63 = 9223372036854775808.0;
      const double whole = std::trunc(number);
      return whole >= -kTwoTo63 && whole < kTwoTo63 && append_whole(static_cast<int64_t>(whole));
    }
    case Type::Float32: return put(static_cast<float>(number));
    case Type::Float64: return put(number);
    case Type::String: return put_text(format(number, digits));
  }
  return false;
}

bool ValuesWriter::append_text(std::string_view text) {
  if (type_ == Type::String) return put_text(text);
  if (type_ == Type::Int32 || type_ == Type::Int64) {
    if (auto number = parse_int64(text)) return append_whole(*number);
  }
  auto number = parse_double(text);
  return number && append_real(*number);
}

void ValuesWriter::append_zero() {
  if (type_ == Type::String) {
    put_text({});
  } else {
    append_whole(0);
  }
}

void ValuesWriter::pop() {
  --size_;
  if (type_ == Type::String) offsets_.pop_back();
  data_.resize(type_ == Type::String ? offsets_.back() : size_ * width_of(type_));
}

void ValuesWriter::write_text(const Scalar& scalar) {
  char digits[kNumberChars];
  std::string_view text = scalar.kind() == Scalar::Kind::Text    ? scalar.text()
                          : scalar.kind() == Scalar::Kind::Whole ? format(scalar.whole(), digits)
                                                                 : format(scalar.real(), digits);
  write(text);
}

void ValuesWriter::append_pair(const Pair& pair) {
  write_text(pair.key);
  data_.push_back(':');
  write_text(pair.value);
  put_text({});
}

Values ValuesWriter::finish(Block& block) const {
  return Values{type_, size_, block.keep(data_), block.keep(offsets_)};
}

void ColumnWriter::start(const ColumnType& type, int64_t rows) {
  type_ = type;
  rows_ = rows;
  row_ = 0;
  unparsable_ = 0;
  values_.start(type.value);
  if (type.shape == Shape::Map) keys_.start(type.key);
  offsets_.clear();
  inner_.clear();
  valid_.clear();
  if (type.shape != Shape::Scalar) offsets_.push_back(0);
  if (type.shape == Shape::Nested) inner_.push_back(0);
}

void ColumnWriter::append(const Cell& cell) {
  bool present = false;
  switch (type_.shape) {
    case Shape::Scalar: present = append_scalar(cell); break;
    case Shape::List: present = append_list(cell); break;
    case Shape::Map: present = append_map(cell); break;
    case Shape::Nested: present = append_nested(cell); break;
  }
  if (type_.shape == Shape::Nested) {
    offsets_.push_back(static_cast<int32_t>(inner_.size()) - 1);
  } else if (type_.shape != Shape::Scalar) {
    offsets_.push_back(static_cast<int32_t>(values_.size()));
  }
  if (!present) set_null(row_);
  ++row_;
}

void ColumnWriter::set_null(int64_t row) {
  if (valid_.empty()) valid_.assign((rows_ + 7) / 8, 0xFF);
  valid_[row >> 3] &= static_cast<uint8_t>(~(1u << (row & 7)));
}

void ColumnWriter::append_value(const Scalar& scalar) {
  if (!values_.append(scalar)) ++unparsable_;
}

bool ColumnWriter::append_scalar(const Cell& cell) {
  // An empty list among scalars is missing, like an empty text and an unset feature.
  const bool missing = cell.member == 0 || cell.holds().shape != Shape::Scalar ||
                       (cell.holds().value == Type::String && cell.scalar.text().empty());
  if (!missing && values_.append(cell.scalar)) return true;
  if (!missing) ++unparsable_;
  values_.append_zero();
  return false;
}

namespace {

/// The values of a text among lists: it is cut where any multi-value text is.
template <class Each>
void for_each_value_of(const Cell& cell, Each&& each) {
  if (cell.member == 0) return;
  if (cell.holds().value != Type::String) return each(cell.scalar);
  for_each_value(cell.scalar.text(), kValueSeparator, [&](std::string_view v) { each(Scalar::of(v)); });
}

}  // namespace

bool ColumnWriter::append_list(const Cell& cell) {
  const int64_t before = values_.size();
  auto append = [&](const Scalar& scalar) { append_value(scalar); };
  switch (cell.holds().shape) {
    case Shape::Scalar: for_each_value_of(cell, append); break;
    case Shape::List: for_each_listed(cell.message, cell.holds().value, append); break;
    case Shape::Map:
      read_pairs(cell, pairs_);
      for (const Pair& pair : pairs_) values_.append_pair(pair);
      break;
    case Shape::Nested: break;  // only an empty one: otherwise the column would be nested
  }
  return values_.size() > before;
}

bool ColumnWriter::append_map(const Cell& cell) {
  if (cell.holds().shape != Shape::Map) return false;  // missing, or the column would be a list
  const int64_t before = values_.size();
  read_pairs(cell, pairs_);
  for (const Pair& pair : pairs_) {
    const bool has_value = values_.append(pair.value);
    if (has_value && keys_.append(pair.key)) continue;
    if (has_value) values_.pop();
    ++unparsable_;
  }
  return values_.size() > before;
}

void ColumnWriter::close_inner() { inner_.push_back(static_cast<int32_t>(values_.size())); }

bool ColumnWriter::append_nested(const Cell& cell) {
  const size_t before = inner_.size();
  switch (cell.holds().shape) {
    case Shape::Scalar:
      for_each_value_of(cell, [&](const Scalar& scalar) { append_value(scalar); });
      if (check(cell) != 0) close_inner();
      break;
    case Shape::List:
      for_each_listed(cell.message, cell.holds().value, [&](const Scalar& scalar) {
        append_value(scalar);
        close_inner();
      });
      break;
    case Shape::Map:
      read_pairs(cell, pairs_);
      for (const Pair& pair : pairs_) {
        values_.append_pair(pair);
        close_inner();
      }
      break;
    case Shape::Nested:
      for_each_message(cell.message, [&](std::string_view list) {
        for_each_listed(list, cell.holds().value, [&](const Scalar& scalar) { append_value(scalar); });
        close_inner();
      });
      break;
  }
  return inner_.size() > before;
}

ColumnPtr ColumnWriter::finish(Block& block) {
  auto column = std::make_shared<Column>();
  column->shape = type_.shape;
  column->rows = row_;
  column->valid = block.keep(valid_);
  column->offsets = block.keep(offsets_);
  column->inner = block.keep(inner_);
  if (type_.shape == Shape::Map) column->keys = keys_.finish(block);
  column->values = values_.finish(block);
  return column;
}

}  // namespace recserve::wire
