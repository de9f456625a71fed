#include "items/fields.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

namespace recserve::items {

namespace {

constexpr Type kTypes[] = {Type::Int32, Type::Int64, Type::Float32, Type::Float64, Type::String};

[[noreturn]] void refuse(std::string_view text) {
  throw DataError("unknown column type '" + std::string(text) +
                  "'; known: int32, int64, float32, float64, string, float32[16], list<int64>, "
                  "map<string,float32>, list<list<int64>> and the like");
}

std::optional<Type> scalar(std::string_view text) {
  for (Type type : kTypes) {
    if (text == name_of(type)) return type;
  }
  return {};
}

/// What stands inside `prefix` ... `end`, or nothing when the text has another form.
std::optional<std::string_view> inside(std::string_view text, std::string_view prefix, std::string_view end) {
  if (!text.starts_with(prefix) || !text.ends_with(end) || text.size() < prefix.size() + end.size())
    return {};
  return text.substr(prefix.size(), text.size() - prefix.size() - end.size());
}

bool is_integer(Type type) { return type == Type::Int32 || type == Type::Int64; }

/// Bytes for every number in [0, limit); `full` when there is no limit.
int32_t bytes_below(uint64_t limit, int32_t full) {
  for (int32_t bytes : {1, 2, 4}) {
    if (limit != 0 && bytes < full && limit <= uint64_t{1} << (8 * bytes)) return bytes;
  }
  return full;
}

Field field_of(const std::string& name, const ColumnType& type, int64_t limit) {
  Field field{.name = name, .type = type};
  field.value_bytes = static_cast<int32_t>(width_of(type.type));
  if (is_integer(type.type) && limit > 0) {
    field.limit = static_cast<uint64_t>(limit);
    field.value_bytes = bytes_below(field.limit, field.value_bytes);
  }
  const bool number = type.type != Type::String;
  if (number && type.shape == Shape::Scalar) {
    field.storage = Storage::Inline;
    field.cell_bytes = field.value_bytes * type.width;
  } else if (number && type.shape == Shape::List) {
    field.storage = Storage::OneOrHeap;
    field.cell_bytes = std::max(4, field.value_bytes);
  } else {
    field.cell_bytes = 4;
  }
  return field;
}

}  // namespace

ColumnType parse_type(std::string_view text) {
  if (auto type = scalar(text)) return {.type = *type};
  auto typed = [&](std::string_view part) {
    auto type = scalar(part);
    if (!type) refuse(text);
    return *type;
  };
  if (auto item = inside(text, "list<list<", ">>")) return {.shape = Shape::Nested, .type = typed(*item)};
  if (auto item = inside(text, "list<", ">")) return {.shape = Shape::List, .type = typed(*item)};
  if (auto entry = inside(text, "map<", ">")) {
    const size_t comma = entry->find(',');
    if (comma == std::string_view::npos) refuse(text);
    std::string_view value = entry->substr(comma + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    return {.shape = Shape::Map, .type = typed(value), .key_type = typed(entry->substr(0, comma))};
  }
  const size_t bracket = text.find('[');
  if (bracket == std::string_view::npos || !text.ends_with(']')) refuse(text);
  ColumnType vector{.type = typed(text.substr(0, bracket))};
  auto [end, error] = std::from_chars(text.data() + bracket + 1, text.data() + text.size() - 1, vector.width);
  if (error != std::errc() || *end != ']' || vector.width < 1 || vector.type == Type::String) refuse(text);
  return vector;
}

std::string name_of(const ColumnType& type) {
  const std::string value = name_of(type.type);
  switch (type.shape) {
    case Shape::Scalar: return type.width == 1 ? value : value + "[" + std::to_string(type.width) + "]";
    case Shape::List: return "list<" + value + ">";
    case Shape::Map: return std::string("map<") + name_of(type.key_type) + "," + value + ">";
    case Shape::Nested: return "list<list<" + value + ">>";
  }
  return value;
}

ColumnType column_type(const Column& column) {
  ColumnType type{.shape = column.shape, .type = column.values.type, .width = column.width};
  if (column.shape == Shape::Map) type.key_type = column.keys.type;
  return type;
}

std::vector<Span> Layout::spans(std::span<const int32_t> some, std::span<const int32_t> more) const {
  constexpr int32_t kNear = 32;  // half a cache line: what lies closer is read as one
  std::vector<Span> cells{{0, bits + 8 * bit_words}};
  for (const auto wanted : {some, more}) {
    for (int32_t i : wanted) cells.push_back({fields[i].offset, fields[i].offset + fields[i].cell_bytes});
  }
  std::ranges::sort(cells, {}, &Span::from);
  std::vector<Span> spans;
  for (const Span& cell : cells) {
    if (spans.empty() || cell.from > spans.back().to + kNear) spans.push_back(cell);
    spans.back().to = std::max(spans.back().to, cell.to);
  }
  return spans;
}

Layout::Layout(int32_t key_bytes, const ColumnTypes& raw, const ColumnTypes& finished,
               const std::map<std::string, int64_t>& limits, const std::set<std::string>& always_raw)
    : raw_fields(static_cast<int32_t>(raw.size())) {
  for (const ColumnTypes* columns : {&raw, &finished}) {
    for (const auto& [name, type] : *columns) {
      auto limit = limits.find(name);
      fields.push_back(field_of(name, type, limit == limits.end() ? 0 : limit->second));
    }
  }
  int32_t bit = 0;
  for (Field& field : fields) field.present_bit = bit++;
  for (Field& field : fields) {
    if (field.storage == Storage::OneOrHeap) field.one_bit = bit++;
  }
  bits = kKey + key_bytes;
  bit_words = (bit + 63) / 64;

  int32_t end = bits + (bit + 7) / 8;
  auto place = [&](int32_t i) {
    const bool every_request = i >= raw_fields || always_raw.contains(fields[i].name);
    return std::pair(!every_request, -fields[i].cell_bytes);
  };
  std::vector<int32_t> order(fields.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, place);
  for (int32_t i : order) {
    fields[i].offset = end;
    end += fields[i].cell_bytes;
  }
  // Whole words of bits are read, so the slot covers them.
  slot_bytes = (std::max(end, bits + 8 * bit_words) + 3) / 4 * 4;
}

}  // namespace recserve::items
