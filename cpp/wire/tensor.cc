#include "wire/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "wire/keep_last.h"

namespace recserve::wire {

namespace {

/// The repeated fields of ArrayProto that hold values; BOOL's is known to some message families only.
enum Field : uint32_t { kFloats = 3, kDoubles = 4, kInts = 5, kTexts = 6, kInt64s = 7, kBools = 8 };
constexpr const char* kFieldNames[] = {"",        "",           "",          "float_val", "double_val",
                                       "int_val", "string_val", "int64_val", "bool_val"};

struct DTypeTraits {
  DType dtype;
  const char* name;
  int64_t size;
  Field field;
};

constexpr DTypeTraits kDTypes[] = {
    {DType::Float, "DT_FLOAT", 4, kFloats},       {DType::Double, "DT_DOUBLE", 8, kDoubles},
    {DType::Int8, "DT_INT8", 1, kInts},           {DType::Int16, "DT_INT16", 2, kInts},
    {DType::Int32, "DT_INT32", 4, kInts},         {DType::UInt8, "DT_UINT8", 1, kInts},
    {DType::Int64, "DT_INT64", 8, kInt64s},       {DType::Bool, "DT_BOOL", 1, kInts},
    {DType::BFloat16, "DT_BFLOAT16", 4, kFloats}, {DType::Half, "DT_HALF", 4, kFloats},
};

const DTypeTraits* find(DType dtype) {
  for (const auto& traits : kDTypes) {
    if (traits.dtype == dtype) return &traits;
  }
  return nullptr;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

/// What an ArrayProto says before its values are copied.
struct Header {
  int32_t dtype = 0;
  std::vector<int64_t> shape;
  std::array<int64_t, kBools + 1> counts{};  // values by field
};

void read_shape(std::string_view message, std::vector<int64_t>& shape) {
  Reader reader(message);
  for (Tag tag; reader.next(tag);) {
    const bool known = tag.field == 1 && read_repeated(reader, tag, WireType::Varint,
                                                       [&](Reader& r) { shape.push_back(r.int64()); });
    if (!known) reader.skip(tag);
  }
}

/// Calls `each(reader)` for every value of field `tag.field`; false when that is no field of values.
template <class Each>
bool read_values(Reader& reader, Tag tag, Each&& each) {
  switch (tag.field) {
    case kFloats: return read_repeated(reader, tag, WireType::Fixed32, each);
    case kDoubles: return read_repeated(reader, tag, WireType::Fixed64, each);
    case kInts:
    case kInt64s:
    case kBools: return read_repeated(reader, tag, WireType::Varint, each);
    default: return false;
  }
}

void count_value(Reader& reader, Field field) {
  switch (field) {
    case kFloats: reader.float32(); break;
    case kDoubles: reader.float64(); break;
    default: reader.varint();
  }
}

Header read_header(std::string_view message) {
  Header header;
  Reader reader(message);
  for (Tag tag; reader.next(tag);) {
    auto count = [&](Reader& r) {
      count_value(r, static_cast<Field>(tag.field));
      ++header.counts[tag.field];
    };
    if (tag.is(1, WireType::Varint)) {
      header.dtype = reader.int32();
    } else if (tag.is(2, WireType::Bytes)) {
      read_shape(reader.bytes(), header.shape);
    } else if (tag.is(kTexts, WireType::Bytes)) {
      reader.bytes();
      ++header.counts[kTexts];
    } else if (!read_values(reader, tag, count)) {
      reader.skip(tag);
    }
  }
  return header;
}

/// Number of elements that the shape asks for.
int64_t elements_of(const std::vector<int64_t>& shape, const std::string& what) {
  constexpr size_t kMaxDimensions = 32;
  constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max();
  if (shape.size() > kMaxDimensions) {
    throw RequestError(what + " has " + std::to_string(shape.size()) + " dimensions; at most " +
                       std::to_string(kMaxDimensions) + " are supported");
  }
  int64_t elements = 1, without_zeros = 1;
  for (int64_t dim : shape) {
    if (dim < 0 || dim > kMaxElements || without_zeros * std::max<int64_t>(dim, 1) > kMaxElements) {
      throw RequestError(what + " has the impossible shape " + text_of(shape));
    }
    elements *= dim;
    without_zeros *= std::max<int64_t>(dim, 1);
  }
  return elements;
}

/// The field that holds the values. Throws when another one has some.
Field value_field(const Header& header, const DTypeTraits& traits, const std::string& what) {
  Field field = traits.field;
  if (traits.dtype == DType::Bool && header.counts[kBools] != 0) field = kBools;
  for (uint32_t other = kFloats; other <= kBools; ++other) {
    if (other != field && header.counts[other] != 0) {
      throw RequestError(what + " has dtype " + traits.name + ", whose values belong in " +
                         kFieldNames[field] + ", but " + std::to_string(header.counts[other]) + " came in " +
                         kFieldNames[other]);
    }
  }
  return field;
}

template <class T>
void put(std::vector<uint8_t>& data, T number) {
  auto* bytes = reinterpret_cast<const uint8_t*>(&number);
  data.insert(data.end(), bytes, bytes + sizeof number);
}

template <class T>
void put_int(std::vector<uint8_t>& data, int32_t number, const DTypeTraits& traits, const std::string& what) {
  if (number < std::numeric_limits<T>::min() || number > std::numeric_limits<T>::max()) {
    throw RequestError(what + ": " + std::to_string(number) + " does not fit " + traits.name);
  }
  put(data, static_cast<T>(number));
}

void read_value(Reader& reader, const DTypeTraits& traits, std::vector<uint8_t>& data,
                const std::string& what) {
  switch (traits.dtype) {
    case DType::Float:
    case DType::Half:
    case DType::BFloat16: return put(data, reader.float32());
    case DType::Double: return put(data, reader.float64());
    case DType::Int64: return put(data, reader.int64());
    case DType::Int32: return put(data, reader.int32());
    case DType::Int16: return put_int<int16_t>(data, reader.int32(), traits, what);
    case DType::Int8: return put_int<int8_t>(data, reader.int32(), traits, what);
    case DType::UInt8: return put_int<uint8_t>(data, reader.int32(), traits, what);
    case DType::Bool: return put(data, static_cast<uint8_t>(reader.varint() != 0));
    case DType::Invalid: return;
  }
}

[[noreturn]] void refuse_dtype(int32_t dtype, const std::string& what) {
  std::string known;
  for (const auto& traits : kDTypes) known += (known.empty() ? "" : ", ") + std::string(traits.name);
  throw RequestError(what + " has dtype " + std::to_string(dtype) +
                     ", which no model takes; known: " + known);
}

}  // namespace

int64_t element_size(DType dtype) {
  const DTypeTraits* traits = find(dtype);
  return traits == nullptr ? 0 : traits->size;
}

Tensor read_tensor(std::string_view message, const std::string& what) {
  const Header header = read_header(message);
  int64_t sent = 0;
  for (int64_t count : header.counts) sent += count;
  if (header.dtype == 0) {
    if (sent != 0) throw RequestError(what + " has " + std::to_string(sent) + " values but no dtype");
    return {};
  }
  const DTypeTraits* traits = find(static_cast<DType>(header.dtype));
  if (traits == nullptr) refuse_dtype(header.dtype, what);
  const Field field = value_field(header, *traits, what);
  const int64_t wanted = elements_of(header.shape, what);
  if (wanted != sent) {
    throw RequestError(what + " has shape " + text_of(header.shape) + ", which asks for " +
                       std::to_string(wanted) + " values, but " + std::to_string(sent) + " came");
  }
  std::vector<uint8_t> data;
  data.reserve(sent * traits->size);
  Reader reader(message);
  for (Tag tag; reader.next(tag);) {
    const bool known = tag.field == field &&
                       read_values(reader, tag, [&](Reader& r) { read_value(r, *traits, data, what); });
    if (!known) reader.skip(tag);
  }
  return {traits->dtype, header.shape, std::move(data)};
}

void check_tensor_count(size_t tensors) {
  if (tensors > kMaxTensors) {
    throw RequestError("failed to read message: more than " + std::to_string(kMaxTensors) + " tensors");
  }
}

void NamedTensors::add(std::string_view entry) {
  entries_.push_back(read_message_entry(entry, pieces_));
  check_tensor_count(entries_.size());
}

ByName<Tensor> NamedTensors::read(const std::string& what) {
  keep_last(entries_, [](const Entry& e) { return e.key; }, [](const Entry& e) { read_header(e.value); });
  ByName<Tensor> tensors;
  for (const auto& [name, message] : entries_) {
    tensors.emplace_back(name, read_tensor(message, what + " " + quoted(name)));
    if (tensors.back().second.dtype == DType::Invalid) {
      throw RequestError(what + " " + quoted(name) + " has no dtype");
    }
  }
  return tensors;
}

namespace {

template <class T>
void write_ints(Writer& writer, const void* data, int64_t elements) {
  auto* numbers = static_cast<const T*>(data);
  for (int64_t i = 0; i < elements; ++i) writer.varint(static_cast<uint64_t>(int64_t{numbers[i]}));
}

/// A float32 of the same value as the 16 bits of an IEEE half.
float half_to_float(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float number = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -number : number;
  }
  const uint32_t widened = exponent == 0x1F ? 0xFF : exponent + 112;
  return std::bit_cast<float>(sign | widened << 23 | fraction << 13);
}

float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

template <class Widen>
void write_widened(Writer& writer, const void* data, int64_t elements, Widen&& widen) {
  auto* numbers = static_cast<const uint16_t*>(data);
  for (int64_t i = 0; i < elements; ++i) {
    const float number = widen(numbers[i]);
    writer.raw(&number, sizeof number);
  }
}

void write_values(Writer& writer, const TensorView& tensor, int64_t elements) {
  switch (tensor.dtype) {
    case DType::Float: return writer.raw(tensor.data, elements * sizeof(float));
    case DType::Double: return writer.raw(tensor.data, elements * sizeof(double));
    case DType::Int8: return write_ints<int8_t>(writer, tensor.data, elements);
    case DType::Int16: return write_ints<int16_t>(writer, tensor.data, elements);
    case DType::Int32: return write_ints<int32_t>(writer, tensor.data, elements);
    case DType::Int64: return write_ints<int64_t>(writer, tensor.data, elements);
    case DType::Bool:
    case DType::UInt8: return write_ints<uint8_t>(writer, tensor.data, elements);
    case DType::Half: return write_widened(writer, tensor.data, elements, half_to_float);
    case DType::BFloat16: return write_widened(writer, tensor.data, elements, bfloat16_to_float);
    case DType::Invalid: return;
  }
}

/// What clients can read in place of what models compute.
DType sent_as(DType dtype) {
  if (dtype == DType::Half || dtype == DType::BFloat16) return DType::Float;
  return dtype == DType::Bool ? DType::UInt8 : dtype;
}

}  // namespace

void write_tensor(Writer& writer, uint32_t field, const TensorView& tensor) {
  writer.message(field, [&] {
    const DTypeTraits* traits = find(sent_as(tensor.dtype));
    if (traits == nullptr) return;  // a gap
    writer.integer(1, static_cast<int32_t>(traits->dtype));
    int64_t elements = 1;
    for (int64_t dim : tensor.shape) elements *= dim;
    writer.message(2, [&] {
      writer.message(1, [&] {
        if (tensor.shape.empty()) writer.varint(1);
        for (int64_t dim : tensor.shape) writer.varint(static_cast<uint64_t>(dim));
      });
    });
    if (elements != 0) writer.message(traits->field, [&] { write_values(writer, tensor, elements); });
  });
}

void write_named_tensor(Writer& writer, uint32_t field, std::string_view name, const TensorView& tensor) {
  writer.message(field, [&] {
    writer.bytes(1, name);
    write_tensor(writer, 2, tensor);
  });
}

}  // namespace recserve::wire
