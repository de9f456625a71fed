#include "wire/cell_writer.h"

namespace recserve::wire {

namespace {

constexpr uint32_t kStringFeature = 3;

uint32_t member_for(Shape shape, Type key, Type value) {
  for (int i = 1; i <= kMembers; ++i) {
    const Member& member = members[i];
    if (member.shape == shape && member.value == value && (shape != Shape::Map || member.key == key))
      return i;
  }
  throw DataError(std::string("a ") + name_of(shape) + " column with " + name_of(key) +
                  " keys cannot be sent; cast its keys to int32, int64 or string");
}

void write_value(Writer& writer, uint32_t field, const Values& values, int64_t i) {
  switch (values.type) {
    case Type::Int32: return writer.integer(field, values.as<int32_t>()[i]);
    case Type::Int64: return writer.integer(field, values.as<int64_t>()[i]);
    case Type::Float32: return writer.float32(field, values.as<float>()[i]);
    case Type::Float64: return writer.float64(field, values.as<double>()[i]);
    case Type::String: return writer.bytes(field, values.text(i));
  }
}

/// The content of an IntList, a StringList, ...: values [from, to).
void write_list(Writer& writer, const Values& values, int64_t from, int64_t to) {
  if (from == to) return;
  if (values.type == Type::String) {
    for (int64_t i = from; i < to; ++i) writer.bytes(1, values.text(i));
    return;
  }
  writer.message(1, [&] {
    for (int64_t i = from; i < to; ++i) {
      if (values.type == Type::Int32) {
        writer.varint(static_cast<uint64_t>(int64_t{values.as<int32_t>()[i]}));
      } else if (values.type == Type::Int64) {
        writer.varint(static_cast<uint64_t>(values.as<int64_t>()[i]));
      } else {
        const int64_t width = width_of(values.type);
        writer.raw(values.data.data() + i * width, width);
      }
    }
  });
}

void write_member(Writer& writer, const Column& column, int64_t row) {
  const Values& values = column.values;
  if (column.shape == Shape::Scalar && column.width == 1) {
    return write_value(writer, member_for(Shape::Scalar, Type::String, values.type), values, row);
  }
  if (column.shape == Shape::Scalar) {  // a vector of fixed length goes as a list
    const int64_t from = row * column.width;
    return writer.message(member_for(Shape::List, Type::String, values.type),
                          [&] { write_list(writer, values, from, from + column.width); });
  }
  const uint32_t member = member_for(column.shape, column.keys.type, values.type);
  const int64_t from = column.offsets[row], to = column.offsets[row + 1];
  writer.message(member, [&] {
    if (column.shape == Shape::List) return write_list(writer, values, from, to);
    for (int64_t i = from; i < to; ++i) {
      writer.message(1, [&] {
        if (column.shape == Shape::Nested)
          return write_list(writer, values, column.inner[i], column.inner[i + 1]);
        write_value(writer, 1, column.keys, i);
        write_value(writer, 2, values, i);
      });
    }
  });
}

}  // namespace

void write_cell(Writer& writer, uint32_t field, const Column& column, int64_t row) {
  writer.message(field, [&] {
    if (column.missing(row)) return writer.bytes(kStringFeature, {});
    write_member(writer, column, row);
  });
}

}  // namespace recserve::wire
