#include "wire/column_type.h"

namespace recserve::wire {

namespace {

std::optional<Type> parse_type(std::string_view text) {
  for (Type type : {Type::Int32, Type::Int64, Type::Float32, Type::Float64, Type::String}) {
    if (text == name_of(type)) return type;
  }
  return {};
}

bool is_float(Type type) { return type == Type::Float32 || type == Type::Float64; }

/// Takes "prefix" and the final ">" off; false when the text has neither.
bool unwrap(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix) || !text.ends_with('>')) return false;
  text.remove_prefix(prefix.size());
  text.remove_suffix(1);
  return true;
}

std::optional<ColumnType> parse(std::string_view text) {
  if (unwrap(text, "map<")) {
    const size_t comma = text.find(',');
    if (comma == std::string_view::npos) return {};
    auto key = parse_type(text.substr(0, comma)), value = parse_type(text.substr(comma + 1));
    if (!key || !value || is_float(*key)) return {};
    return ColumnType{Shape::Map, *key, *value};
  }
  const Shape shape = unwrap(text, "list<list<") && unwrap(text, "") ? Shape::Nested
                      : unwrap(text, "list<")                        ? Shape::List
                                                                     : Shape::Scalar;
  auto value = parse_type(text);
  if (!value) return {};
  return ColumnType{shape, Type::String, *value};
}

/// A type that holds the numbers of both; text is decided by the first entry alone.
Type widen(Type first, Type next) {
  if (first == next || first == Type::String || next == Type::String) return first;
  if (is_float(first) || is_float(next)) return Type::Float64;
  return Type::Int64;
}

}  // namespace

ColumnType parse_column_type(std::string_view text) {
  std::string plain;
  for (char c : text) {
    if (c != ' ') plain += c;
  }
  auto type = parse(plain);
  if (!type) {
    throw ConfigError("unknown column type '" + std::string(text) +
                      "'; known: int32, int64, float32, float64, string, list<T>, map<K,V>, list<list<T>>");
  }
  return *type;
}

void Seen::add(const Cell& cell) {
  const Member& holds = cell.holds();
  shapes_ |= 1u << static_cast<int>(holds.shape);
  if (holds.shape == Shape::Scalar && holds.value == Type::String) text_scalars_ = true;
  value_ = value_ ? widen(*value_, holds.value) : holds.value;
  if (holds.shape == Shape::Map) key_ = key_ ? widen(*key_, holds.key) : holds.key;
}

Shape Seen::shape(const ColumnType* declared) const {
  if (has(Shape::Nested)) return Shape::Nested;
  if (has(Shape::Map) && !has(Shape::List) && !has(Shape::Scalar)) return Shape::Map;
  if (has(Shape::List) || has(Shape::Map)) return Shape::List;
  const bool wants_list = declared != nullptr && declared->shape == Shape::List;
  return wants_list && !text_scalars_ ? Shape::List : Shape::Scalar;
}

ColumnType Seen::resolve(const ColumnType* declared, const ColumnType* fallback) const {
  if (shapes_ == 0) return declared != nullptr ? *declared : fallback != nullptr ? *fallback : ColumnType{};
  ColumnType type{shape(declared), key_.value_or(Type::String), *value_};
  if (type.shape == Shape::Map) {
    if (declared != nullptr && declared->shape == Shape::Map) type = *declared;
    return type;
  }
  if (declared != nullptr) type.value = declared->value;
  // "k:v" texts, be they sent for a map column or made of a map among other entries.
  if (has(Shape::Map) || (declared != nullptr && declared->shape == Shape::Map)) type.value = Type::String;
  // Text for a column of many values: feature generation cuts it, and knows where.
  const bool delimited = declared != nullptr && declared->shape != Shape::Scalar && text_scalars_;
  if (type.shape == Shape::Scalar && delimited) type.value = Type::String;
  return type;
}

}  // namespace recserve::wire
