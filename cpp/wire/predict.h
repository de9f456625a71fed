// pytorch.eas Predict: tensors in, tensors out, by position or by name; a service without feature generation.
#pragma once

#include <string>
#include <string_view>

#include "wire/tensor.h"

namespace recserve::wire {

/// `T` is Tensor where it was received, TensorView where it is sent.
template <class T>
struct PredictRequest {
  std::vector<T> inputs;  // dtype Invalid: a gap that the client left
  ByName<T> named_inputs;
  std::vector<int32_t> output_filter;  // positions of the outputs wanted; empty = all
  int32_t debug_level = 0;
};

template <class T>
struct PredictResponse {
  std::vector<T> outputs;
  ByName<T> named_outputs;
};

/// Throw RequestError: "failed to parse request: ...", or the input whose dtype, shape and values disagree.
PredictRequest<Tensor> decode_predict_request(std::string_view body);
PredictResponse<Tensor> decode_predict_response(std::string_view body);

std::string encode(const PredictRequest<TensorView>& request);
std::string encode(const PredictResponse<TensorView>& response);

}  // namespace recserve::wire
