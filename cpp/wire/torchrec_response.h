// torchrec PBResponse: scores by output name, row k for item k.
#pragma once

#include <string>
#include <string_view>

#include "wire/tensor.h"

namespace recserve::wire {

using Texts = ByName<std::string>;

/// What is sent; the columns and tensors are borrowed.
struct TorchrecResponseView {
  const Column* item_ids = nullptr;  // strings
  ByName<TensorView> outputs;
  Texts generate_features;  // item id -> text (debug)
  Texts raw_features;       // item id -> text (debug)
  Texts pass_through;
};

struct TorchrecResponse {
  ColumnPtr item_ids;
  ByName<Tensor> outputs;
  Texts generate_features;
  Texts raw_features;
  Texts pass_through;
};

std::string encode(const TorchrecResponseView& response);

/// Throws RequestError: "failed to parse response: ...".
TorchrecResponse decode_torchrec_response(std::string_view body);

}  // namespace recserve::wire
