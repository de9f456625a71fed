#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <optional>

#include "bind/bind.h"
#include "bind/free_interpreter.h"
#include "wire/lz4.h"
#include "wire/predict.h"
#include "wire/torchrec_request.h"
#include "wire/torchrec_response.h"

using namespace recserve;
using namespace recserve::wire;

namespace {

using TextMap = std::map<std::string, std::string>;

std::string_view view(const nb::bytes& body) { return {body.c_str(), body.size()}; }

/// Runs `write() -> std::string`, while other threads run if it is `long_enough`.
template <class Write>
nb::bytes written(Write&& write, bool long_enough = true) {
  std::string out;
  {
    const FreeInterpreter free(long_enough);
    out = write();
  }
  return nb::bytes(out.data(), out.size());
}

nb::dict dict(const Texts& pairs) {
  nb::dict out;
  for (const auto& [name, value] : pairs) out[nb::str(name.data(), name.size())] = value;
  return out;
}

Texts pairs(const TextMap& texts) { return {texts.begin(), texts.end()}; }

// ---- tensors as numpy arrays

/// Float32 stands for bfloat16, which numpy lacks.
nb::dlpack::dtype dlpack_type(DType dtype) {
  switch (dtype) {
    case DType::Double: return nb::dtype<double>();
    case DType::Int8: return nb::dtype<int8_t>();
    case DType::Int16: return nb::dtype<int16_t>();
    case DType::Int32: return nb::dtype<int32_t>();
    case DType::Int64: return nb::dtype<int64_t>();
    case DType::UInt8: return nb::dtype<uint8_t>();
    case DType::Bool: return nb::dtype<bool>();
    default: return nb::dtype<float>();
  }
}

/// The array takes the tensor's memory over; a gap becomes None.
nb::object array(Tensor&& tensor) {
  if (tensor.dtype == DType::Invalid) return nb::none();
  const DType dtype = tensor.dtype;
  auto* keep = new Tensor(std::move(tensor));
  nb::capsule owner(keep, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
  std::vector<size_t> shape(keep->shape.begin(), keep->shape.end());
  nb::object result = nb::cast(nb::ndarray<nb::numpy>(const_cast<uint8_t*>(keep->data.data()), shape.size(),
                                                      shape.data(), owner, nullptr, dlpack_type(dtype)));
  return dtype == DType::Half ? result.attr("astype")("float16") : result;
}

nb::dict arrays(ByName<Tensor>&& tensors) {
  nb::dict out;
  for (auto& [name, tensor] : tensors) out[nb::str(name.data(), name.size())] = array(std::move(tensor));
  return out;
}

nb::list arrays(std::vector<Tensor>&& tensors) {
  nb::list out;
  for (auto& tensor : tensors) out.append(array(std::move(tensor)));
  return out;
}

using AnyArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

DType dtype_of(const AnyArray& array, const std::string& what) {
  using Code = nb::dlpack::dtype_code;
  const auto type = array.dtype();
  const auto is = [&](Code code, int bits) {
    return type.code == static_cast<uint8_t>(code) && type.bits == bits && type.lanes == 1;
  };
  if (is(Code::Float, 32)) return DType::Float;
  if (is(Code::Float, 64)) return DType::Double;
  if (is(Code::Float, 16)) return DType::Half;
  if (is(Code::Bfloat, 16)) return DType::BFloat16;
  if (is(Code::Int, 8)) return DType::Int8;
  if (is(Code::Int, 16)) return DType::Int16;
  if (is(Code::Int, 32)) return DType::Int32;
  if (is(Code::Int, 64)) return DType::Int64;
  if (is(Code::UInt, 8)) return DType::UInt8;
  if (is(Code::Bool, 8)) return DType::Bool;
  throw DataError(what +
                  " has a dtype that the protocol lacks; cast it to float32, float64, int8 to int64, "
                  "uint8 or bool");
}

/// Borrowed views of Python's arrays; `keep` holds the arrays while they are read.
class Views {
 public:
  TensorView tensor(nb::handle object, const std::string& what) {
    if (object.is_none()) return {};
    AnyArray array;
    if (!nb::try_cast(object, array)) throw DataError(what + " is no array in the memory of the host");
    TensorView view{dtype_of(array, what), {}, array.data()};
    for (size_t i = 0; i < array.ndim(); ++i) view.shape.push_back(static_cast<int64_t>(array.shape(i)));
    keep_.push_back(std::move(array));
    return view;
  }
  std::vector<TensorView> tensors(const nb::sequence& objects, const std::string& what) {
    std::vector<TensorView> views;
    for (nb::handle object : objects)
      views.push_back(tensor(object, what + " " + std::to_string(views.size())));
    return views;
  }
  ByName<TensorView> tensors(const nb::dict& objects, const std::string& what) {
    ByName<TensorView> views;
    for (auto [key, object] : objects) {
      auto name = nb::cast<std::string>(key);
      views.emplace_back(name, tensor(object, what + " '" + name + "'"));
    }
    return views;
  }

 private:
  std::vector<AnyArray> keep_;
};

// ---- torchrec

ColumnTypes column_types(const TextMap& texts) {
  ColumnTypes types;
  for (const auto& [name, text] : texts) types.emplace(name, parse_column_type(text));
  return types;
}

void make_decoder(TorchrecDecoder* self, const TextMap& user, const TextMap& context, const TextMap& item,
                  const TextMap& user_fallback, const TextMap& context_fallback,
                  const TextMap& item_fallback) {
  new (self) TorchrecDecoder({column_types(user), column_types(user_fallback)},
                             {column_types(context), column_types(context_fallback)},
                             {column_types(item), column_types(item_fallback)});
}

nb::tuple tuples(const std::vector<Oddity>& oddities) {
  nb::list found;
  for (const Oddity& o : oddities) found.append(nb::make_tuple(o.side, o.column, o.unfit, o.surplus));
  return nb::tuple(found);
}

nb::tuple decode_request(const TorchrecDecoder& decoder, const nb::bytes& body) {
  TorchrecRequest request;
  {
    const FreeInterpreter free(static_cast<int64_t>(body.size()) >= kLongMessageBytes);
    request = decoder.decode(view(body));
  }
  return nb::make_tuple(std::move(request.user), request.item_ids, std::move(request.context),
                        std::move(request.item_features), request.rows, request.debug_level,
                        request.neighbours, dict(request.meta),
                        request.oddities.empty() ? nb::make_tuple() : tuples(request.oddities));
}

void check_item_ids(const Column& ids) {
  if (ids.shape == Shape::Scalar && ids.width == 1 && ids.values.type == Type::String) return;
  throw DataError(std::string("item_ids must be a scalar column of strings, not ") + name_of(ids.shape) +
                  " of " + name_of(ids.values.type));
}

nb::bytes encode_request(const Batch& user, ColumnPtr item_ids, const Batch& context,
                         const Batch& item_features, int32_t debug_level, int32_t neighbours,
                         const TextMap& meta) {
  check_item_ids(*item_ids);
  return written([&] {
    return encode(TorchrecRequest{user, std::move(item_ids), context, item_features, context.rows(),
                                  debug_level, neighbours, pairs(meta)});
  });
}

nb::bytes encode_response(const Column& item_ids, const nb::dict& outputs, const TextMap& pass_through,
                          const TextMap& generate_features, const TextMap& raw_features) {
  check_item_ids(item_ids);
  Views views;
  const TorchrecResponseView response{&item_ids, views.tensors(outputs, "output"), pairs(generate_features),
                                      pairs(raw_features), pairs(pass_through)};
  return written([&] { return encode(response); }, item_ids.rows >= kManyRowsToEncode);
}

nb::tuple decode_response(const nb::bytes& body) {
  TorchrecResponse response;
  {
    nb::gil_scoped_release release;
    response = decode_torchrec_response(view(body));
  }
  return nb::make_tuple(response.item_ids, arrays(std::move(response.outputs)), dict(response.pass_through),
                        dict(response.generate_features), dict(response.raw_features));
}

void bind_torchrec(nb::module_& core) {
  nb::class_<TorchrecDecoder>(core, "TorchrecDecoder", "Decodes torchrec PBRequests to columns.")
      .def("__init__", &make_decoder, nb::arg("user"), nb::arg("context"), nb::arg("item"),
           nb::arg("user_fallback"), nb::arg("context_fallback"), nb::arg("item_fallback"))
      .def("decode", &decode_request, nb::arg("body"),
           nb::sig("def decode(self, body: bytes) -> "
                   "tuple[Batch, Column, Batch, Batch, int, int, int, dict[str, str], "
                   "tuple[tuple[str, str, int, int], ...]]"),
           "user, item_ids, context, item_features, rows, debug_level, neighbours, meta, oddities")
      .def_prop_ro("unparsable", &TorchrecDecoder::unparsable,
                   "Values so far that their column's type could not hold.");
  core.def("encode_torchrec_request", &encode_request, nb::arg("user"), nb::arg("item_ids"),
           nb::arg("context"), nb::arg("item_features"), nb::arg("debug_level"), nb::arg("neighbours"),
           nb::arg("meta"));
  core.def("encode_torchrec_response", &encode_response, nb::arg("item_ids"), nb::arg("outputs"),
           nb::arg("pass_through"), nb::arg("generate_features"), nb::arg("raw_features"),
           nb::sig("def encode_torchrec_response(item_ids: Column, outputs: dict[str, typing.Any], "
                   "pass_through: Mapping[str, str], generate_features: Mapping[str, str], "
                   "raw_features: Mapping[str, str]) -> bytes"));
  core.def("decode_torchrec_response", &decode_response, nb::arg("body"),
           nb::sig("def decode_torchrec_response(body: bytes) -> tuple[Column, dict[str, typing.Any], "
                   "dict[str, str], dict[str, str], dict[str, str]]"),
           "item_ids, outputs, pass_through, generate_features, raw_features");
}

// ---- pytorch.eas Predict

nb::tuple decode_predict(const nb::bytes& body) {
  PredictRequest<Tensor> request;
  {
    nb::gil_scoped_release release;
    request = decode_predict_request(view(body));
  }
  return nb::make_tuple(arrays(std::move(request.inputs)), arrays(std::move(request.named_inputs)),
                        request.output_filter, request.debug_level);
}

nb::bytes encode_predict(const nb::sequence& inputs, const nb::dict& named_inputs,
                         std::vector<int32_t> output_filter, int32_t debug_level) {
  Views views;
  const PredictRequest<TensorView> request{views.tensors(inputs, "input"),
                                           views.tensors(named_inputs, "input"), std::move(output_filter),
                                           debug_level};
  return written([&] { return encode(request); });
}

nb::bytes encode_predict_answer(const nb::sequence& outputs, const nb::dict& named_outputs) {
  Views views;
  const PredictResponse<TensorView> response{views.tensors(outputs, "output"),
                                             views.tensors(named_outputs, "output")};
  return written([&] { return encode(response); });
}

nb::tuple decode_predict_answer(const nb::bytes& body) {
  PredictResponse<Tensor> response;
  {
    nb::gil_scoped_release release;
    response = decode_predict_response(view(body));
  }
  return nb::make_tuple(arrays(std::move(response.outputs)), arrays(std::move(response.named_outputs)));
}

void bind_predict(nb::module_& core) {
  core.def("decode_predict_request", &decode_predict, nb::arg("body"),
           nb::sig("def decode_predict_request(body: bytes) -> "
                   "tuple[list[typing.Any], dict[str, typing.Any], list[int], int]"),
           "inputs (None for a gap), named inputs, output_filter, debug_level");
  core.def("encode_predict_request", &encode_predict, nb::arg("inputs"), nb::arg("named_inputs"),
           nb::arg("output_filter"), nb::arg("debug_level"),
           nb::sig("def encode_predict_request(inputs: collections.abc.Sequence[typing.Any], named_inputs: "
                   "dict[str, typing.Any], "
                   "output_filter: collections.abc.Sequence[int], debug_level: int) -> bytes"));
  core.def("encode_predict_response", &encode_predict_answer, nb::arg("outputs"), nb::arg("named_outputs"),
           nb::sig("def encode_predict_response(outputs: collections.abc.Sequence[typing.Any], "
                   "named_outputs: dict[str, typing.Any]) -> bytes"));
  core.def(
      "decode_predict_response", &decode_predict_answer, nb::arg("body"),
      nb::sig("def decode_predict_response(body: bytes) -> tuple[list[typing.Any], dict[str, typing.Any]]"),
      "outputs, named outputs");
}

}  // namespace

void bind_wire(nb::module_& core) {
  bind_torchrec(core);
  bind_predict(core);
  core.def(
      "lz4_block_size", [](const nb::bytes& block) { return lz4_block_size(view(block)); }, nb::arg("block"),
      nb::call_guard<nb::gil_scoped_release>(),
      "Bytes that a raw LZ4 block inflates to, or None when it is not one.");
}
