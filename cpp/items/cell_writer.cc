#include <string>

#include "items/cell_codec.h"
#include "items/cells.h"

namespace recserve::items {

namespace {

class CellWriter {
 public:
  CellWriter(const Field& field, const Layout& layout, Heap* heap, const Column& column)
      : field_(field), layout_(layout), heap_(heap), column_(column) {}

  void write(int64_t row, uint8_t* slot) {
    if (!column_.is_valid(row)) return;
    set(slot, field_.present_bit);
    uint8_t* cell = slot + field_.offset;
    switch (field_.storage) {
      case Storage::Inline: put_numbers(column_.values, row * column_.width, column_.width, cell); break;
      case Storage::OneOrHeap:
        if (count(row) == 1) {
          set(slot, field_.one_bit);
          put_numbers(column_.values, column_.offsets[row], 1, cell);
        } else {
          put_handle(row, cell);
        }
        break;
      case Storage::Heap: put_handle(row, cell); break;
    }
  }

 private:
  int32_t count(int64_t row) const { return column_.offsets[row + 1] - column_.offsets[row]; }

  void set(uint8_t* slot, int32_t bit) const {
    slot[layout_.bits + (bit >> 3)] |= static_cast<uint8_t>(1u << (bit & 7));
  }

  void put_numbers(const Values& values, int64_t from, int64_t size, uint8_t* to) const {
    const int64_t bytes = width_of(values.type);
    const uint8_t* at = values.data.data() + from * bytes;
    if (size == 0) return;  // an empty column may have no memory at all
    if (field_.limit == 0 || &values != &column_.values) {
      std::memcpy(to, at, size * bytes);
      return;
    }
    with_widths(bytes, field_.value_bytes, [&]<class Value, class Stored>() {
      for (int64_t i = 0; i < size; ++i) {
        const auto value = load<Value>(at + i * sizeof(Value));
        if (value >= field_.limit) refuse_limit(values, from + i);
        const auto stored = static_cast<Stored>(value);
        std::memcpy(to + i * sizeof(Stored), &stored, sizeof(Stored));
      }
    });
  }

  void put_handle(int64_t row, uint8_t* cell) {
    bytes_.clear();
    if (column_.shape == Shape::Scalar) {
      const std::string_view text = column_.values.text(row);
      put_length(bytes_, text.size());
      bytes_.insert(bytes_.end(), text.begin(), text.end());
    } else {
      put_ragged(column_.offsets[row], column_.offsets[row + 1]);
    }
    const uint32_t handle = heap_->append({bytes_.data(), bytes_.size()});
    std::memcpy(cell, &handle, sizeof(handle));
  }

  void put_ragged(int64_t from, int64_t to) {
    put_length(bytes_, to - from);
    if (column_.shape == Shape::Nested && to > from) {
      const Array<int32_t>& inner = column_.inner;
      put_length(bytes_, inner[to] - inner[from]);
      for (int64_t i = from; i < to; ++i) put_length(bytes_, inner[i + 1] - inner[i]);
      from = column_.inner[from];
      to = column_.inner[to];
    }
    if (column_.shape == Shape::Map) put_block(column_.keys, from, to);
    put_block(column_.values, from, to);
  }

  void put_block(const Values& values, int64_t from, int64_t to) {
    if (values.type == Type::String) {
      for (int64_t i = from; i < to; ++i) put_length(bytes_, values.text(i).size());
      const auto* text = reinterpret_cast<const char*>(values.data.data());
      bytes_.insert(bytes_.end(), text + values.offsets[from], text + values.offsets[to]);
      return;
    }
    const int64_t stored = &values == &column_.values ? field_.value_bytes : width_of(values.type);
    const size_t before = bytes_.size();
    bytes_.resize(before + (to - from) * stored);
    put_numbers(values, from, to - from, reinterpret_cast<uint8_t*>(bytes_.data()) + before);
  }

  [[noreturn]] void refuse_limit(const Values& values, int64_t i) const {
    const int64_t value = values.type == Type::Int32 ? values.as<int32_t>()[i] : values.as<int64_t>()[i];
    throw DataError("item column '" + field_.name + "': value " + std::to_string(value) + " is not in [0, " +
                    std::to_string(field_.limit) + "), which was declared");
  }

  const Field& field_;
  const Layout& layout_;
  Heap* heap_;
  const Column& column_;
  std::vector<char> bytes_;
};

}  // namespace

void write_cells(const Field& field, const Layout& layout, Heap* heap, const Column& column, int64_t from,
                 std::span<uint8_t* const> slots) {
  CellWriter writer(field, layout, heap, column);
  for (size_t i = 0; i < slots.size(); ++i) {
    writer.write(column.row_for(from + static_cast<int64_t>(i)), slots[i]);
  }
}

}  // namespace recserve::items
