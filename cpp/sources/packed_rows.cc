#include "sources/packed_rows.h"

#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

namespace recserve {

namespace {

static_assert(std::endian::native == std::endian::little, "numbers are stored as they lie in memory");

constexpr std::string_view kMagic = "F1";
/// Inner lists without any value have no bytes that would bound how many they are.
constexpr uint32_t kMostEmptyLists = 4096;

struct NamedType {
  std::string_view name;
  Type type;
  bool one_byte = false;
};

constexpr NamedType kScalars[] = {
    {"int32", Type::Int32},     {"int64", Type::Int64},   {"float", Type::Float32},
    {"double", Type::Float64},  {"string", Type::String}, {"boolean", Type::Int32, true},
    {"timestamp", Type::Int64},
};

const NamedType* named(std::string_view name) {
  for (const NamedType& type : kScalars)
    if (type.name == name) return &type;
  return nullptr;
}

/// What arrays and maps hold: numbers and texts.
const NamedType* entry(std::string_view name) {
  const NamedType* type = named(name);
  return type == nullptr || type->one_byte || type->name == "timestamp" ? nullptr : type;
}

/// The text between `before` and a closing ">", if that is what `name` is.
std::optional<std::string_view> inside(std::string_view name, std::string_view before) {
  if (!name.starts_with(before) || !name.ends_with('>')) return std::nullopt;
  return name.substr(before.size(), name.size() - before.size() - 1);
}

bool describe(std::string_view name, PackedField& field) {
  if (name == "array<array<float>>") {
    field.shape = Shape::Nested;
    field.type = Type::Float32;
    return true;
  }
  const NamedType* type = nullptr;
  if (auto of = inside(name, "array<")) {
    field.shape = Shape::List;
    type = entry(*of);
  } else if (auto of_both = inside(name, "map<")) {
    field.shape = Shape::Map;
    const size_t comma = of_both->find(',');
    if (comma == std::string_view::npos) return false;
    const NamedType* keys = entry(of_both->substr(0, comma));
    type = entry(of_both->substr(comma + 1));
    if (keys == nullptr || keys->type == Type::Float32 || keys->type == Type::Float64) return false;
    field.keys = keys->type;
  } else {
    type = named(name);
  }
  if (type == nullptr) return false;
  field.type = type->type;
  field.one_byte = type->one_byte;
  return true;
}

class Packer {
 public:
  void pack(const PackedField& field, const Column* column, int64_t row) {
    if (column == nullptr || !column->is_valid(row)) return number<uint8_t>(1);
    number<uint8_t>(0);
    switch (field.shape) {
      case Shape::Scalar: return scalar(field, column->values, row);
      case Shape::List:
      case Shape::Map: {
        const int64_t from = column->offsets[row], to = column->offsets[row + 1];
        count(to - from);
        if (from == to) return;
        if (field.shape == Shape::Map) many(column->keys, from, to);
        return many(column->values, from, to);
      }
      case Shape::Nested: return nested(field, *column, row);
    }
  }
  void begin() { put(kMagic.data(), static_cast<int64_t>(kMagic.size())); }
  void end() { rows_.close(); }
  Values finish() { return rows_.finish(); }

 private:
  void put(const void* data, int64_t size) {
    const char* from = static_cast<const char*>(data);
    rows_.bytes().insert(rows_.bytes().end(), from, from + size);
  }
  template <class T>
  void number(T value) {
    put(&value, sizeof(value));
  }
  void count(int64_t count) { number(static_cast<uint32_t>(count)); }

  void scalar(const PackedField& field, const Values& values, int64_t row) {
    if (field.one_byte) return number<uint8_t>(values.as<int32_t>()[row] != 0);
    if (values.type == Type::String) {
      const std::string_view text = values.text(row);
      count(static_cast<int64_t>(text.size()));
      return put(text.data(), static_cast<int64_t>(text.size()));
    }
    const int64_t width = width_of(values.type);
    put(values.data.data() + row * width, width);
  }

  void many(const Values& values, int64_t from, int64_t to) {
    if (values.type == Type::String) {
      for (int64_t i = from; i <= to; ++i) count(values.offsets[i] - values.offsets[from]);
      return put(values.data.data() + values.offsets[from], values.offsets[to] - values.offsets[from]);
    }
    const int64_t width = width_of(values.type);
    put(values.data.data() + from * width, (to - from) * width);
  }

  void nested(const PackedField& field, const Column& column, int64_t row) {
    const int64_t from = column.offsets[row], to = column.offsets[row + 1];
    count(to - from);
    if (from == to) return;
    const int64_t first = column.inner[from], last = column.inner[to];
    count(last - first);
    if (first == last) {
      if (to - from > kMostEmptyLists)
        throw DataError("column '" + field.name + "': a row has " + std::to_string(to - from) +
                        " lists that are all empty; packed rows hold " + std::to_string(kMostEmptyLists));
      return;
    }
    for (int64_t i = from; i < to; ++i) count(column.inner[i + 1] - column.inner[i]);
    many(column.values, first, last);
  }

  StringsBuilder rows_;
};

/// What is left of one row; every read is checked against it.
class Bytes {
 public:
  explicit Bytes(std::string_view left) : left_(left) {}

  bool empty() const { return left_.empty(); }
  size_t size() const { return left_.size(); }

  std::string_view take(uint64_t size, const char* what) {
    if (size > left_.size())
      throw DataError("needs " + std::to_string(size) + " bytes for its " + what + ", and " +
                      std::to_string(left_.size()) + " are left");
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  uint32_t u32(const char* what) {
    uint32_t number;
    std::memcpy(&number, take(4, what).data(), 4);
    return number;
  }
  uint8_t flag(const char* what) {
    const auto byte = static_cast<uint8_t>(take(1, what)[0]);
    if (byte > 1)
      throw DataError("has as " + std::string(what) + " " + std::to_string(byte) + ", not 0 or 1");
    return byte;
  }

 private:
  std::string_view left_;
};

/// Values one behind the other: of lists, of maps, of rows.
class ValuesReader {
 public:
  explicit ValuesReader(Type type) : type_(type) {}

  void read_number(Bytes& bytes) { append(bytes.take(static_cast<uint64_t>(width_of(type_)), "value")); }
  void append(std::string_view taken) { data_.insert(data_.end(), taken.begin(), taken.end()); }
  void read_text(Bytes& bytes) {
    append(bytes.take(bytes.u32("size"), "text"));
    close();
  }
  void read_many(Bytes& bytes, uint32_t count) {
    if (type_ != Type::String) return append(bytes.take(uint64_t{count} * width_of(type_), "values"));
    const std::string_view offsets = bytes.take((uint64_t{count} + 1) * 4, "offsets");
    const auto offset = [&](uint64_t i) {
      uint32_t number;
      std::memcpy(&number, offsets.data() + 4 * i, 4);
      return number;
    };
    const std::string_view texts = bytes.take(offset(count), "texts");
    if (offset(0) != 0) throw DataError("has a first text at " + std::to_string(offset(0)) + ", not 0");
    for (uint32_t i = 0; i < count; ++i) {
      if (offset(i) > offset(i + 1) || offset(i + 1) > texts.size())
        throw DataError("has offsets " + std::to_string(offset(i)) + ", " + std::to_string(offset(i + 1)) +
                        " that do not lie in its " + std::to_string(texts.size()) + " bytes of text");
      append(texts.substr(offset(i), offset(i + 1) - offset(i)));
      close();
    }
  }
  /// A row without a value.
  void skip() {
    if (type_ == Type::String)
      close();
    else
      data_.resize(data_.size() + static_cast<size_t>(width_of(type_)));
  }
  int64_t size() const {
    return type_ == Type::String ? static_cast<int64_t>(offsets_.size()) - 1
                                 : static_cast<int64_t>(data_.size()) / width_of(type_);
  }
  void clear() {
    data_.clear();
    offsets_.resize(1);
  }
  void reserve(int64_t rows) {
    if (type_ == Type::String)
      offsets_.reserve(static_cast<size_t>(rows) + 1);
    else
      data_.reserve(static_cast<size_t>(rows * width_of(type_)));
  }
  Values finish() {
    const int64_t count = size();
    if (type_ != Type::String) return Values{type_, count, bytes_of(std::move(data_)), {}};
    return Values{type_, count, bytes_of(std::move(data_)), Array<int32_t>(std::move(offsets_))};
  }

 private:
  void close() {
    if (data_.size() > INT32_MAX) throw DataError("brings the rows read together over 2 GiB of text");
    offsets_.push_back(static_cast<int32_t>(data_.size()));
  }

  Type type_;
  std::vector<char> data_;
  std::vector<int32_t> offsets_{0};  // of texts
};

class ColumnReader {
 public:
  /// What is not kept is read to find the next field, and forgotten.
  ColumnReader(const PackedField& field, bool keep, int64_t rows)
      : field_(field), keep_(keep), keys_(field.keys), values_(field.type) {
    if (!keep) return;
    if (field.shape == Shape::Scalar)
      values_.reserve(rows);
    else
      offsets_.reserve(static_cast<size_t>(rows) + 1);
  }

  void skip() {
    if (!keep_) return;
    valid_.append(false);
    if (field_.shape == Shape::Scalar)
      values_.skip();
    else
      close();
  }

  void read(Bytes& bytes) {
    cell(bytes);
    if (keep_)
      valid_.append(true);
    else
      forget();
  }

  ColumnPtr finish() {
    auto column = std::make_shared<Column>();
    column->shape = field_.shape;
    column->rows = valid_.rows();
    column->valid = valid_.finish();
    if (field_.shape != Shape::Scalar) column->offsets = std::move(offsets_);
    if (field_.shape == Shape::Nested) column->inner = std::move(inner_);
    if (field_.shape == Shape::Map) column->keys = keys_.finish();
    column->values = values_.finish();
    return column;
  }

 private:
  void cell(Bytes& bytes) {
    switch (field_.shape) {
      case Shape::Scalar: return scalar(bytes);
      case Shape::List:
      case Shape::Map: {
        const uint32_t count = bytes.u32("count");
        if (count != 0 && field_.shape == Shape::Map) keys_.read_many(bytes, count);
        if (count != 0) values_.read_many(bytes, count);
        return close();
      }
      case Shape::Nested: return nested(bytes);
    }
  }

  void forget() {
    offsets_.resize(1);
    inner_.resize(1);
    keys_.clear();
    values_.clear();
  }

  void scalar(Bytes& bytes) {
    if (field_.type == Type::String) return values_.read_text(bytes);
    if (!field_.one_byte) return values_.read_number(bytes);
    const int32_t number = bytes.flag("value");
    values_.append({reinterpret_cast<const char*>(&number), sizeof(number)});
  }

  void nested(Bytes& bytes) {
    const uint32_t count = bytes.u32("count");
    const uint32_t total = count == 0 ? 0 : bytes.u32("total");
    if (total == 0) {
      if (count > kMostEmptyLists)
        throw DataError("has " + std::to_string(count) + " lists that are all empty, more than " +
                        std::to_string(kMostEmptyLists));
      inner_.resize(inner_.size() + count, inner_.back());
      return close();
    }
    const std::string_view sizes = bytes.take(uint64_t{count} * 4, "sizes");
    const int64_t first = values_.size();
    values_.read_many(bytes, total);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
      uint32_t size;
      std::memcpy(&size, sizes.data() + 4 * uint64_t{i}, 4);
      sum += size;
      if (sum > total) break;
      inner_.push_back(static_cast<int32_t>(first + static_cast<int64_t>(sum)));
    }
    if (sum != total)
      throw DataError("has lists of another size than its " + std::to_string(total) + " values");
    close();
  }

  void close() {
    const int64_t entries =
        field_.shape == Shape::Nested ? static_cast<int64_t>(inner_.size()) - 1 : values_.size();
    if (entries > INT32_MAX || values_.size() > INT32_MAX)
      throw DataError("brings the rows read together over 2^31 values");
    offsets_.push_back(static_cast<int32_t>(entries));
  }

  const PackedField& field_;
  bool keep_;
  ValidBuilder valid_;
  std::vector<int32_t> offsets_{0};
  std::vector<int32_t> inner_{0};
  ValuesReader keys_;
  ValuesReader values_;
};

class Unpacker {
 public:
  Unpacker(std::span<const PackedField> fields, std::span<const uint8_t> wanted, int64_t rows)
      : fields_(fields), wanted_(wanted) {
    for (size_t i = 0; i < fields.size(); ++i) readers_.emplace_back(fields[i], wanted[i] != 0, rows);
  }

  void skip() {
    for (ColumnReader& reader : readers_) reader.skip();
  }

  void read(std::string_view row) {
    Bytes bytes(row);
    if (!row.starts_with(kMagic)) {
      at_ = nullptr;
      throw DataError("does not begin with F1, so it is not a packed row");
    }
    bytes.take(kMagic.size(), "mark");
    for (size_t i = 0; i < fields_.size(); ++i) {
      at_ = &fields_[i];
      if (bytes.empty() || bytes.flag("null flag") == 1)
        readers_[i].skip();
      else
        readers_[i].read(bytes);
    }
    at_ = nullptr;
    if (!bytes.empty())
      throw DataError("has " + std::to_string(bytes.size()) + " bytes more than its " +
                      std::to_string(fields_.size()) + " fields");
  }

  /// Which field an error is about.
  std::string place() const {
    return at_ == nullptr ? "the row" : "field '" + at_->name + "' (" + at_->type_name + ")";
  }

  std::vector<ColumnPtr> finish() {
    std::vector<ColumnPtr> columns;
    for (size_t i = 0; i < fields_.size(); ++i)
      if (wanted_[i] != 0) columns.push_back(readers_[i].finish());
    return columns;
  }

 private:
  std::span<const PackedField> fields_;
  std::span<const uint8_t> wanted_;
  std::vector<ColumnReader> readers_;
  const PackedField* at_ = nullptr;
};

}  // namespace

PackedField packed_field(std::string name, const std::string& type_name) {
  PackedField field;
  if (!describe(type_name, field))
    throw DataError("field '" + name + "': packed rows have no type '" + type_name +
                    "'; known: int32, int64, float, double, string, boolean, timestamp, array<...> and "
                    "map<...,...> of numbers and string, array<array<float>>");
  field.name = std::move(name);
  field.type_name = type_name;
  return field;
}

ColumnPtr pack_rows(std::span<const PackedField> fields, std::span<const ColumnPtr> columns, int64_t rows) {
  if (fields.size() != columns.size()) throw DataError("packed rows: as many fields as columns, please");
  for (size_t i = 0; i < fields.size(); ++i) {
    const Column* column = columns[i].get();
    if (column == nullptr) continue;
    const bool same = column->shape == fields[i].shape && column->values.type == fields[i].type &&
                      column->width == 1 &&
                      (column->shape != Shape::Map || column->keys.type == fields[i].keys);
    if (!same || column->rows != rows)
      throw DataError("field '" + fields[i].name + "' is " + fields[i].type_name + ", its column has " +
                      std::to_string(column->rows) + " rows of " + name_of(column->shape) + " " +
                      name_of(column->values.type));
  }
  Packer packer;
  for (int64_t row = 0; row < rows; ++row) {
    packer.begin();
    for (size_t i = 0; i < fields.size(); ++i) packer.pack(fields[i], columns[i].get(), row);
    packer.end();
  }
  auto packed = std::make_shared<Column>();
  packed->rows = rows;
  packed->values = packer.finish();
  return packed;
}

std::vector<ColumnPtr> unpack_rows(std::span<const PackedField> fields, std::span<const uint8_t> wanted,
                                   const Column& rows, const Column& keys, const std::string& where) {
  if (rows.values.type != Type::String || keys.values.type != Type::String || rows.rows != keys.rows ||
      wanted.size() != fields.size())
    throw DataError(where + ": packed rows and their keys are as many texts");
  Unpacker unpacker(fields, wanted, rows.rows);
  for (int64_t row = 0; row < rows.rows; ++row) {
    try {
      if (rows.is_valid(row))
        unpacker.read(rows.values.text(row));
      else
        unpacker.skip();
    } catch (const DataError& error) {
      throw DataError(where + ", key '" + std::string(keys.values.text(row)) + "': " + unpacker.place() +
                      " " + error.what());
    }
  }
  return unpacker.finish();
}

}  // namespace recserve
