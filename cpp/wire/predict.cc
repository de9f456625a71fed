#include "wire/predict.h"

namespace recserve::wire {

namespace {

PredictRequest<Tensor> read_request(std::string_view body) {
  PredictRequest<Tensor> request;
  NamedTensors named;
  Reader reader(body);
  for (Tag tag; reader.next(tag);) {
    if (tag.is(1, WireType::Bytes)) {
      const std::string what = "input " + std::to_string(request.inputs.size());
      request.inputs.push_back(read_tensor(reader.bytes(), what));
      check_tensor_count(request.inputs.size());
    } else if (tag.is(3, WireType::Bytes)) {
      named.add(reader.bytes());
    } else if (tag.is(100, WireType::Varint)) {
      request.debug_level = reader.int32();
    } else if (tag.field != 2 || !read_repeated(reader, tag, WireType::Varint, [&](Reader& r) {
                 request.output_filter.push_back(r.int32());
               })) {
      reader.skip(tag);
    }
  }
  request.named_inputs = named.read("input");
  return request;
}

PredictResponse<Tensor> read_response(std::string_view body) {
  PredictResponse<Tensor> response;
  NamedTensors named;
  Reader reader(body);
  for (Tag tag; reader.next(tag);) {
    if (tag.is(1, WireType::Bytes)) {
      const std::string what = "output " + std::to_string(response.outputs.size());
      response.outputs.push_back(read_tensor(reader.bytes(), what));
      check_tensor_count(response.outputs.size());
    } else if (tag.is(2, WireType::Bytes)) {
      named.add(reader.bytes());
    } else {
      reader.skip(tag);
    }
  }
  response.named_outputs = named.read("output");
  return response;
}

}  // namespace

PredictRequest<Tensor> decode_predict_request(std::string_view body) {
  try {
    return read_request(body);
  } catch (const ParseError& error) {
    throw RequestError(std::string("failed to parse request: ") + error.what());
  }
}

PredictResponse<Tensor> decode_predict_response(std::string_view body) {
  try {
    return read_response(body);
  } catch (const ParseError& error) {
    throw RequestError(std::string("failed to parse response: ") + error.what());
  }
}

std::string encode(const PredictRequest<TensorView>& request) {
  std::string out;
  Writer writer(out);
  for (const TensorView& tensor : request.inputs) write_tensor(writer, 1, tensor);
  if (!request.output_filter.empty()) {
    writer.message(2, [&] {
      for (int32_t i : request.output_filter) writer.varint(static_cast<uint64_t>(int64_t{i}));
    });
  }
  for (const auto& [name, tensor] : request.named_inputs) write_named_tensor(writer, 3, name, tensor);
  if (request.debug_level != 0) writer.integer(100, request.debug_level);
  return out;
}

std::string encode(const PredictResponse<TensorView>& response) {
  std::string out;
  Writer writer(out);
  for (const TensorView& tensor : response.outputs) write_tensor(writer, 1, tensor);
  for (const auto& [name, tensor] : response.named_outputs) write_named_tensor(writer, 2, name, tensor);
  return out;
}

}  // namespace recserve::wire
