// Columns across Arrow's C data interface (https://arrow.apache.org/docs/format/CDataInterface.html).
#pragma once

#include <cstdint>
#include <string>

#include "columns/batch.h"

// The two structs are the interface itself, as its specification prints them; the guard is the one it asks
// for.
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
extern "C" {
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};
}
#endif

namespace recserve {

/// Shares the array's memory: utf8, binary, int32, int64, float32, float64, and list, fixed_size_list, map
/// and list<list> of them. Takes both structs over (their release is called, also on errors). Narrower
/// integers, bool, float16, unsigned, large_* and dictionaries are cast by the caller (columns.py does).
/// Throws DataError for other types, naming `name`.
ColumnPtr import_arrow(ArrowSchema* schema, ArrowArray* array, const std::string& name);

/// Fills both structs, which then share the column's memory.
void export_arrow(const ColumnPtr& column, ArrowSchema* schema, ArrowArray* array);

}  // namespace recserve
