// Packed rows: all cells of a row but its key in one text of bytes, as key-value stores hold them.
//
//   'F' '1'   then for each field, in the order of the schema:   null (u8: 1 or 0)   value, where not null
//
//   boolean               u8
//   numbers, timestamp    4 or 8 bytes
//   string                u32 size    bytes
//   array<number>         u32 count   values
//   array<string>         u32 count   texts(count)          texts(n) = (n + 1) x u32 offsets, then bytes
//   map<key,value>        u32 count   keys, values          each as numbers or texts(count)
//   array<array<float>>   u32 count   u32 total   count x u32 sizes   values
//
// All little-endian. Nothing follows a count of 0, nor a total of 0. A row that ends before a field has no
// value in it and in those behind it: fields may be appended to the schema of rows that are stored already.
// This is the row of the FeatureDB protocol; docs/reference/redis.md has it byte for byte.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "columns/column.h"

namespace recserve {

/// A field by the name of its type: "int64", "array<string>", "map<int64,float>". A boolean's column is of
/// int32, 0 and 1; a timestamp's of int64, milliseconds.
struct PackedField {
  std::string name;
  std::string type_name;
  Shape shape = Shape::Scalar;
  Type type = Type::String;
  Type keys = Type::String;  // of maps
  bool one_byte = false;     // boolean
};

/// Throws DataError for a type that packed rows do not have.
PackedField packed_field(std::string name, const std::string& type_name);

/// One text of bytes per row. `columns` are as many as `fields`; null: no row has a value there. Throws
/// DataError when a column is of another type than its field. Cost: one pass over the cells.
ColumnPtr pack_rows(std::span<const PackedField> fields, std::span<const ColumnPtr> columns, int64_t rows);

/// The columns of the fields that are `wanted`, in their order; a null row is null in all of them. `rows` and
/// `keys` are text, one for each row. Throws DataError, which begins with `where` and the row's key, for
/// bytes that no row has; memory is never taken for more values than the bytes at hand can hold. That texts
/// are UTF-8 is for the caller to see.
std::vector<ColumnPtr> unpack_rows(std::span<const PackedField> fields, std::span<const uint8_t> wanted,
                                   const Column& rows, const Column& keys, const std::string& where);

}  // namespace recserve
