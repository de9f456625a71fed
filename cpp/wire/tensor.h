// ArrayProto, the tensor of every message family: dtype, shape, and flat values in the one field that the
// dtype asks for.
//
//   dtype                      values in          | sent by us from
//   FLOAT                      float_val    (3)   | float32, float16, bfloat16 (no client reads HALF)
//   DOUBLE                     double_val   (4)   | float64
//   INT8, INT16, INT32, UINT8  int_val      (5)   | the same; bool as UINT8
//   INT64                      int64_val    (7)   | int64
//   HALF, BFLOAT16             float_val    (3)   |
//   BOOL                       int_val or 8       |
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "columns/column.h"
#include "wire/protobuf.h"

namespace recserve::wire {

/// ArrayDataType, with the protocol's numbers.
enum class DType : int32_t {
  Invalid = 0,
  Float = 1,
  Double = 2,
  Int32 = 3,
  UInt8 = 4,
  Int16 = 5,
  Int8 = 6,
  Int64 = 9,
  Bool = 10,
  BFloat16 = 14,
  Half = 19,
};

/// A tensor that was received. `data` holds the elements in C order: int8 to int64 and float32, float64 as
/// such, bool as a byte, half and bfloat16 as float32.
struct Tensor {
  DType dtype = DType::Invalid;  // Invalid: a gap that the client left, without values
  std::vector<int64_t> shape;    // empty: a scalar
  Array<uint8_t> data;
};

/// A tensor to send: borrowed elements in C order, of exactly the type that `dtype` names.
struct TensorView {
  DType dtype = DType::Invalid;
  std::vector<int64_t> shape;
  const void* data = nullptr;
};

template <class T>
using ByName = std::vector<std::pair<std::string, T>>;

/// Bytes per element of `Tensor::data`.
int64_t element_size(DType dtype);

/// Reads an ArrayProto. `what` names it in errors: "input 'ids'". Throws RequestError when shape, dtype and
/// values do not fit one another, ParseError when the bytes are no ArrayProto.
Tensor read_tensor(std::string_view message, const std::string& what);

/// Writes the tensor as field `field`. A scalar goes as shape [1]: some clients fail without a dimension.
void write_tensor(Writer& writer, uint32_t field, const TensorView& tensor);

/// More tensors than this in one message are refused: two bytes make one.
inline constexpr size_t kMaxTensors = 16384;

/// The entries of a map<string, ArrayProto> while a message is read.
class NamedTensors {
 public:
  void add(std::string_view entry);
  /// One tensor per name; of a name that came twice the last wins. `what` as "input" names them in errors.
  ByName<Tensor> read(const std::string& what);

 private:
  std::vector<Entry> entries_;
  Pieces pieces_;
};

/// Throws RequestError when a message has more than kMaxTensors.
void check_tensor_count(size_t tensors);

/// One entry of a map<string, ArrayProto>.
void write_named_tensor(Writer& writer, uint32_t field, std::string_view name, const TensorView& tensor);

}  // namespace recserve::wire
