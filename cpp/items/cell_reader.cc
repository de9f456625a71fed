#include <algorithm>
#include <bit>
#include <numeric>
#include <string>

#include "items/cell_codec.h"
#include "items/cells.h"

namespace recserve::items {

SlotReader::SlotReader(const Layout& layout, std::span<const uint8_t* const> slots)
    : layout_(layout), slots_(slots), all_(layout.bit_words, ~uint64_t{0}), cursor_(slots.size()) {
  for (const uint8_t* slot : slots_) {
    for (int32_t word = 0; word < layout_.bit_words; ++word) {
      all_[word] &= load<uint64_t>(slot + layout_.bits + 8 * word);
    }
  }
}

std::vector<ColumnPtr> SlotReader::read(std::span<const int32_t> fields,
                                        std::span<const std::unique_ptr<Heap>> heaps) {
  // One allocation for all columns: a gather makes many, and each lives as long as any.
  const std::shared_ptr<Column[]> columns(new Column[fields.size()]);
  std::vector<ColumnPtr> shared;
  shared.reserve(fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    read(layout_.fields[fields[i]], heaps[fields[i]].get(), columns[i]);
    shared.emplace_back(columns, &columns[i]);
  }
  copy_numbers();
  return shared;
}

void SlotReader::read(const Field& field, const Heap* heap, Column& column) {
  column.shape = field.type.shape;
  column.rows = rows();
  column.width = field.type.width;
  column.valid = present(field);
  switch (field.storage) {
    case Storage::Inline:
      if (field.type.width == 1) {
        read_number(field, column);
      } else {
        read_vectors(field, column);
      }
      break;
    case Storage::OneOrHeap:
      if (all(field.one_bit)) {
        read_number(field, column);
        column.offsets = counting();
      } else {
        read_number_lists(field, heap, column);
      }
      break;
    case Storage::Heap:
      if (field.type.shape == Shape::Scalar) {
        read_strings(heap, field, column);
      } else {
        read_ragged(field, heap, column);
      }
      break;
  }
}

Array<uint8_t> SlotReader::present(const Field& field) {
  if (all(field.present_bit)) return {};
  const int64_t bytes = (rows() + 7) / 8;
  auto* bits = slab_.take<uint8_t>(bytes);
  std::fill_n(bits, bytes, 0);
  for (int64_t row = 0; row < rows(); ++row) {
    bits[row >> 3] |= static_cast<uint8_t>(has(row, field.present_bit) << (row & 7));
  }
  return slab_.share(bits, bytes);
}

const Array<int32_t>& SlotReader::counting() {
  if (counting_.empty()) {
    auto* numbers = slab_.take<int32_t>(rows() + 1);
    std::iota(numbers, numbers + rows() + 1, 0);
    counting_ = slab_.share(numbers, rows() + 1);
  }
  return counting_;
}

namespace {

/// Calls `use.template operator()<T>()` with the type of numbers that a Column holds.
template <class Use>
auto with_number(Type type, Use&& use) {
  switch (type) {
    case Type::Int32: return use.template operator()<int32_t>();
    case Type::Int64: return use.template operator()<int64_t>();
    case Type::Float32: return use.template operator()<float>();
    case Type::Float64:
    case Type::String: break;
  }
  return use.template operator()<double>();
}

Values share_numbers(const Slab& slab, Type type, const void* data, int64_t size) {
  return with_number(type, [&]<class T>() { return slab.share_values(static_cast<const T*>(data), size); });
}

/// Widths that `with_widths` knows, in a column and in a cell.
constexpr std::pair<int64_t, int32_t> kWidths[] = {{4, 1}, {4, 2}, {4, 4}, {8, 1}, {8, 2}, {8, 4}, {8, 8}};

template <class Value, class Stored>
constexpr size_t copies_of() {
  return (sizeof(Value) == 8 ? 4 : 0) + std::countr_zero(sizeof(Stored));
}

/// Slots whose cells are copied together.
constexpr int kTile = 8;

template <class Value, class Stored>
void widen(const uint8_t* from, int64_t size, Value* to) {
  if constexpr (sizeof(Value) == sizeof(Stored)) {
    std::memcpy(to, from, size * sizeof(Value));
  } else {
    for (int64_t i = 0; i < size; ++i) to[i] = load<Stored>(from + i * sizeof(Stored));
  }
}

/// Offsets of a Column are 32 bits.
void check_size(const Field& field, int64_t values) {
  if (values > INT32_MAX) {
    throw RequestError("item column '" + field.name + "' has " + std::to_string(values) +
                       " values or bytes in one request, at most 2147483647 fit; send fewer items");
  }
}

/// Grows as blocks are read: numbers widened to their type, or strings.
class ValuesReader {
 public:
  ValuesReader(Type type, int32_t stored_bytes) : type_(type), stored_bytes_(stored_bytes) {}

  void read(const uint8_t*& at, int64_t size) {
    if (type_ == Type::String) {
      read_strings(at, size);
      return;
    }
    const int64_t width = width_of(type_);
    const size_t before = numbers_.size();
    numbers_.resize(before + size * width);
    with_widths(width, stored_bytes_, [&]<class Value, class Stored>() {
      widen<Value, Stored>(at, size, reinterpret_cast<Value*>(numbers_.data() + before));
    });
    at += size * stored_bytes_;
  }

  int64_t size() const {
    if (type_ == Type::String) return strings_.size();
    return static_cast<int64_t>(numbers_.size()) / width_of(type_);
  }

  Values finish() {
    if (type_ == Type::String) return strings_.finish();
    const int64_t count = size();
    return Values{type_, count, Array<uint8_t>(std::move(numbers_)), {}};
  }

 private:
  void read_strings(const uint8_t*& at, int64_t size) {
    const uint8_t* lengths = at;
    for (int64_t i = 0; i < size; ++i) take_length(at);
    for (int64_t i = 0; i < size; ++i) {
      const uint64_t length = take_length(lengths);
      strings_.append({reinterpret_cast<const char*>(at), length});
      at += length;
    }
  }

  Type type_;
  int32_t stored_bytes_;
  std::vector<uint8_t> numbers_;
  StringsBuilder strings_;
};

}  // namespace

/// One number per slot: noted here, copied with all others of its widths. Cells of absent rows are zero, so
/// they read as zeros.
void SlotReader::read_number(const Field& field, Column& column) {
  with_widths(width_of(field.type.type), field.value_bytes, [&]<class Value, class Stored>() {
    auto* out = slab_.take<Value>(rows());
    copies_[copies_of<Value, Stored>()].push_back({field.offset, out});
    column.values = share_numbers(slab_, field.type.type, out, rows());
  });
}

/// Some slots at a time, so that they stay in the innermost cache while all of their cells are read.
void SlotReader::copy_numbers() {
  for (const auto& [value_bytes, stored_bytes] : kWidths) {
    with_widths(value_bytes, stored_bytes, [&]<class Value, class Stored>() {
      std::vector<Copy>& copies = copies_[copies_of<Value, Stored>()];
      if (copies.empty()) return;
      const uint8_t* const* slot = slots_.data();
      int64_t row = 0;
      for (; row + kTile <= rows(); row += kTile) {
        for (const Copy& copy : copies) {
          auto* to = static_cast<Value*>(copy.to) + row;
          for (int i = 0; i < kTile; ++i) to[i] = load<Stored>(slot[row + i] + copy.offset);
        }
      }
      for (; row < rows(); ++row) {
        for (const Copy& copy : copies)
          static_cast<Value*>(copy.to)[row] = load<Stored>(slot[row] + copy.offset);
      }
      copies.clear();
    });
  }
}

void SlotReader::read_vectors(const Field& field, Column& column) {
  const int64_t width = field.type.width;
  with_widths(width_of(field.type.type), field.value_bytes, [&]<class Value, class Stored>() {
    auto* out = slab_.take<Value>(rows() * width);
    for (int64_t row = 0; row < rows(); ++row) {
      widen<Value, Stored>(slots_[row] + field.offset, width, out + row * width);
    }
    column.values = share_numbers(slab_, field.type.type, out, rows() * width);
  });
}

/// Points each row's cursor at its bytes. Handle 0, also of absent rows, is an empty cell.
void SlotReader::find(const Field& field, const Heap* heap) {
  for (int64_t row = 0; row < rows(); ++row) {
    cursor_[row] = heap->at(load<uint32_t>(slots_[row] + field.offset));
    __builtin_prefetch(cursor_[row]);
  }
}

void SlotReader::read_number_lists(const Field& field, const Heap* heap, Column& column) {
  auto* offsets = slab_.take<int32_t>(rows() + 1);
  column.offsets = slab_.share(offsets, rows() + 1);
  for (int64_t row = 0; row < rows(); ++row) {
    const uint8_t* cell = slots_[row] + field.offset;
    cursor_[row] = has(row, field.one_bit) ? cell : heap->at(load<uint32_t>(cell));
    __builtin_prefetch(cursor_[row]);
  }
  int64_t end = 0;
  for (int64_t row = 0; row < rows(); ++row) {
    offsets[row] = static_cast<int32_t>(end);
    end += has(row, field.one_bit) ? 1 : static_cast<int64_t>(take_length(cursor_[row]));
  }
  offsets[rows()] = static_cast<int32_t>(end);
  check_size(field, end);
  with_widths(width_of(field.type.type), field.value_bytes, [&]<class Value, class Stored>() {
    auto* out = slab_.take<Value>(end);
    for (int64_t row = 0; row < rows(); ++row) {
      widen<Value, Stored>(cursor_[row], offsets[row + 1] - offsets[row], out + offsets[row]);
    }
    column.values = share_numbers(slab_, field.type.type, out, end);
  });
}

void SlotReader::read_strings(const Heap* heap, const Field& field, Column& column) {
  find(field, heap);
  auto* offsets = slab_.take<int32_t>(rows() + 1);
  column.values.offsets = slab_.share(offsets, rows() + 1);
  int64_t end = 0;
  for (int64_t row = 0; row < rows(); ++row) {
    offsets[row] = static_cast<int32_t>(end);
    end += static_cast<int64_t>(take_length(cursor_[row]));
  }
  offsets[rows()] = static_cast<int32_t>(end);
  check_size(field, end);
  auto* out = slab_.take<uint8_t>(end);
  for (int64_t row = 0; row < rows(); ++row) {
    std::memcpy(out + offsets[row], cursor_[row], offsets[row + 1] - offsets[row]);
  }
  column.values.type = Type::String;
  column.values.size = rows();
  column.values.data = slab_.share(out, end);
}

void SlotReader::read_ragged(const Field& field, const Heap* heap, Column& column) {
  find(field, heap);
  const bool nested = field.type.shape == Shape::Nested;
  auto* offsets = slab_.take<int32_t>(rows() + 1);
  column.offsets = slab_.share(offsets, rows() + 1);
  std::vector<int32_t> inner{0};
  ValuesReader keys(field.type.key_type, static_cast<int32_t>(width_of(field.type.key_type)));
  ValuesReader values(field.type.type, field.value_bytes);
  offsets[0] = 0;
  for (int64_t row = 0; row < rows(); ++row) {
    const uint8_t* at = cursor_[row];
    auto count = static_cast<int64_t>(take_length(at));
    offsets[row + 1] = static_cast<int32_t>(offsets[row] + count);
    if (nested && count > 0) {
      const auto total = static_cast<int64_t>(take_length(at));
      for (int64_t i = 0; i < count; ++i)
        inner.push_back(inner.back() + static_cast<int32_t>(take_length(at)));
      count = total;
    }
    if (field.type.shape == Shape::Map) keys.read(at, count);
    values.read(at, count);
    check_size(field, values.size());
  }
  if (nested) column.inner = Array<int32_t>(std::move(inner));
  if (field.type.shape == Shape::Map) column.keys = keys.finish();
  column.values = values.finish();
}

}  // namespace recserve::items
