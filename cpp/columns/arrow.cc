#include "columns/arrow.h"

#include <optional>

namespace recserve {

namespace {

/// Calls release once, when the last Array that borrows from the structs is gone.
struct Imported {
  ArrowSchema schema;
  ArrowArray array;
  /// Moves the structs here as the interface defines moving: what is left behind has no release.
  Imported(ArrowSchema* from_schema, ArrowArray* from_array) : schema(*from_schema), array(*from_array) {
    from_schema->release = nullptr;
    from_array->release = nullptr;
  }
  Imported(const Imported&) = delete;
  Imported& operator=(const Imported&) = delete;
  ~Imported() {
    if (schema.release != nullptr) schema.release(&schema);
    if (array.release != nullptr) array.release(&array);
  }
};

class Importer {
 public:
  Importer(std::shared_ptr<const Imported> owner, const std::string& name)
      : owner_(std::move(owner)), name_(name) {}

  ColumnPtr column() {
    const ArrowSchema& schema = owner_->schema;
    const ArrowArray& array = owner_->array;
    auto column = std::make_shared<Column>();
    column->rows = array.length;
    column->valid = validity(array);
    const std::string format = schema.format;
    if (format == "+l") {
      import_list(schema, array, *column);
    } else if (format == "+m") {
      column->shape = Shape::Map;
      column->offsets = offsets(array);
      const ArrowSchema& entry = *schema.children[0];
      const ArrowArray& entries = *array.children[0];
      if (entries.offset != 0) fail("a map whose entries have an offset of their own");
      const Slice used = rebase(column->offsets, entries.length);
      column->keys = values(*entry.children[0], *entries.children[0], used);
      column->values = values(*entry.children[1], *entries.children[1], used);
    } else if (format.rfind("+w:", 0) == 0) {
      column->width = std::stoi(format.substr(3));
      column->values = values(*schema.children[0], *array.children[0],
                              {array.offset * column->width, array.length * column->width});
    } else {
      column->values = values(schema, array, {0, array.length});
    }
    validate(*column);
    return column;
  }

 private:
  void import_list(const ArrowSchema& schema, const ArrowArray& array, Column& column) {
    column.offsets = offsets(array);
    const ArrowSchema& child = *schema.children[0];
    const ArrowArray& items = *array.children[0];
    if (std::string(child.format) == "+l") {
      column.shape = Shape::Nested;
      column.inner = offsets(items, rebase(column.offsets, items.length));
      const ArrowArray& entries = *items.children[0];
      column.values = values(*child.children[0], entries, rebase(column.inner, entries.length));
    } else {
      column.shape = Shape::List;
      column.values = values(child, items, rebase(column.offsets, items.length));
    }
  }

  /// Rows of an array, relative to its own offset.
  struct Slice {
    int64_t from;
    int64_t size;
  };

  /// Lets offsets begin with 0 and returns what they cover. A batch cut out of a large table brings all of
  /// the table's entries, and nothing may take time for those of the other batches. Offsets that lie outside
  /// of `entries` stay as they are, for `validate` to refuse.
  static Slice rebase(Array<int32_t>& offsets, int64_t entries) {
    const int64_t first = offsets[0];
    const int64_t last = offsets[offsets.size() - 1];
    if (first < 0 || first > last || last > entries) return {0, entries};
    if (first != 0) {
      std::vector<int32_t> moved(offsets.span().begin(), offsets.span().end());
      for (int32_t& offset : moved) offset -= static_cast<int32_t>(first);
      offsets = std::move(moved);
    }
    return {first, last - first};
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DataError("column '" + name_ + "': " + what + " is not supported");
  }

  template <class T>
  Array<T> buffer(const ArrowArray& array, int index, int64_t from, int64_t size) const {
    // Arrow may leave the buffer of a zero-length array null; one zero keeps readers of offsets honest.
    if (array.buffers[index] == nullptr) return Array<T>(std::vector<T>(size, T{}));
    return Array<T>(static_cast<const T*>(array.buffers[index]) + from, size, owner_);
  }

  Array<int32_t> offsets(const ArrowArray& array) const { return offsets(array, {0, array.length}); }

  Array<int32_t> offsets(const ArrowArray& array, Slice slice) const {
    return buffer<int32_t>(array, 1, array.offset + slice.from, slice.size + 1);
  }

  Array<uint8_t> validity(const ArrowArray& array) const {
    if (array.n_buffers == 0 || array.buffers[0] == nullptr || array.null_count == 0) return {};
    const auto* bits = static_cast<const uint8_t*>(array.buffers[0]);
    const int64_t bytes = (array.length + 7) / 8;
    if (array.offset % 8 == 0) return Array<uint8_t>(bits + array.offset / 8, bytes, owner_);
    std::vector<uint8_t> moved(bytes, 0);
    for (int64_t i = 0; i < array.length; ++i) {
      int64_t at = array.offset + i;
      if ((bits[at >> 3] >> (at & 7)) & 1) moved[i >> 3] |= static_cast<uint8_t>(1u << (i & 7));
    }
    return Array<uint8_t>(std::move(moved));
  }

  /// Flat values of a slice of an array. Nulls inside lists read as zero or the empty string, which feature
  /// generation drops.
  Values values(const ArrowSchema& schema, const ArrowArray& array, Slice slice) const {
    if (schema.dictionary != nullptr) fail("a dictionary array");
    const int64_t size = slice.size;
    const int64_t start = array.offset + slice.from;
    const std::string format = schema.format;
    if (format == "u" || format == "z") {
      Values texts{Type::String, size, {}, buffer<int32_t>(array, 1, start, size + 1)};
      texts.data = buffer<uint8_t>(array, 2, 0, texts.offsets[size]);
      return texts;
    }
    auto type = number_type(format);
    if (!type) fail("Arrow type '" + format + "'");
    const int64_t width = width_of(*type);
    return Values{*type, size, buffer<uint8_t>(array, 1, start * width, size * width), {}};
  }

  static std::optional<Type> number_type(const std::string& format) {
    if (format == "i") return Type::Int32;
    if (format == "l") return Type::Int64;
    if (format == "f") return Type::Float32;
    if (format == "g") return Type::Float64;
    return {};
  }

  std::shared_ptr<const Imported> owner_;
  std::string name_;
};

const char* format_of(Type type) {
  static constexpr const char* formats[] = {"i", "l", "f", "g", "u"};
  return formats[static_cast<int>(type)];
}

struct ExportedSchema {
  std::string format;
  std::string name;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
};

struct ExportedArray {
  ColumnPtr column;
  std::vector<const void*> buffers;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> pointers;
};

template <class Struct, class Private>
void release(Struct* exported) {
  auto* owned = static_cast<Private*>(exported->private_data);
  for (Struct& child : owned->children) {
    if (child.release != nullptr) child.release(&child);
  }
  exported->release = nullptr;
  delete owned;
}

void export_schema(std::string format, std::string name, std::vector<ArrowSchema> children,
                   ArrowSchema* out) {
  auto* owned = new ExportedSchema{std::move(format), std::move(name), std::move(children), {}};
  for (ArrowSchema& child : owned->children) owned->pointers.push_back(&child);
  *out = ArrowSchema{owned->format.c_str(),
                     owned->name.c_str(),
                     nullptr,
                     ARROW_FLAG_NULLABLE,
                     static_cast<int64_t>(owned->children.size()),
                     owned->pointers.data(),
                     nullptr,
                     release<ArrowSchema, ExportedSchema>,
                     owned};
}

void export_array(const ColumnPtr& column, int64_t length, int64_t nulls, std::vector<const void*> buffers,
                  std::vector<ArrowArray> children, ArrowArray* out) {
  auto* owned = new ExportedArray{column, std::move(buffers), std::move(children), {}};
  for (ArrowArray& child : owned->children) owned->pointers.push_back(&child);
  *out = ArrowArray{length,
                    nulls,
                    0,
                    static_cast<int64_t>(owned->buffers.size()),
                    static_cast<int64_t>(owned->children.size()),
                    owned->buffers.data(),
                    owned->pointers.data(),
                    nullptr,
                    release<ArrowArray, ExportedArray>,
                    owned};
}

void export_values(const ColumnPtr& column, const Values& values, const char* name, const void* valid,
                   ArrowSchema* schema, ArrowArray* array) {
  export_schema(format_of(values.type), name, {}, schema);
  std::vector<const void*> buffers{valid};
  if (values.type == Type::String) buffers.push_back(values.offsets.data());
  buffers.push_back(values.data.data());
  export_array(column, values.size, valid == nullptr ? 0 : -1, std::move(buffers), {}, array);
}

}  // namespace

ColumnPtr import_arrow(ArrowSchema* schema, ArrowArray* array, const std::string& name) {
  return Importer(std::make_shared<const Imported>(schema, array), name).column();
}

void export_arrow(const ColumnPtr& column, ArrowSchema* schema, ArrowArray* array) {
  const Column& c = *column;
  const void* valid = c.valid.empty() ? nullptr : c.valid.data();
  const int64_t nulls = valid == nullptr ? 0 : -1;
  if (c.shape == Shape::Scalar && c.width == 1) {
    export_values(column, c.values, "", valid, schema, array);
    return;
  }
  ArrowSchema item;
  ArrowArray items;
  if (c.shape == Shape::Map) {
    std::vector<ArrowSchema> entry(2);
    std::vector<ArrowArray> entries(2);
    export_values(column, c.keys, "key", nullptr, &entry[0], &entries[0]);
    entry[0].flags = 0;
    export_values(column, c.values, "value", nullptr, &entry[1], &entries[1]);
    export_schema("+s", "entries", std::move(entry), &item);
    item.flags = 0;
    export_array(column, c.values.size, 0, {nullptr}, std::move(entries), &items);
    export_schema("+m", "", {item}, schema);
    export_array(column, c.rows, nulls, {valid, c.offsets.data()}, {items}, array);
    return;
  }
  export_values(column, c.values, "item", nullptr, &item, &items);
  if (c.shape == Shape::Scalar) {
    export_schema("+w:" + std::to_string(c.width), "", {item}, schema);
    export_array(column, c.rows, nulls, {valid}, {items}, array);
    return;
  }
  if (c.shape == Shape::Nested) {
    ArrowSchema inner;
    ArrowArray inners;
    export_schema("+l", "item", {item}, &inner);
    export_array(column, c.inner.size() - 1, 0, {nullptr, c.inner.data()}, {items}, &inners);
    item = inner;
    items = inners;
  }
  export_schema("+l", "", {item}, schema);
  export_array(column, c.rows, nulls, {valid, c.offsets.data()}, {items}, array);
}

}  // namespace recserve
