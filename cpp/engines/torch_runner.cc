#include "torch_runner.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct RecserveRunner {
  torch::inductor::AOTIModelPackageLoader loader;
  std::string inputs, outputs;
  std::vector<RecserveTensor> expected;
};

struct RecserveOutputs {
  std::vector<at::Tensor> tensors;  // keep the memory that `views` point into
  std::vector<RecserveTensor> views;
};

namespace {

/// What `call` gives, or null with the reason in `error`: no exception may leave a C function.
template <typename Call>
auto or_null(RecserveError* error, Call call) -> decltype(call().release()) {
  try {
    return call().release();
  } catch (const std::exception& e) {
    std::snprintf(error->text, sizeof error->text, "%s", e.what());
  } catch (...) {
    std::snprintf(error->text, sizeof error->text, "an error without a text");
  }
  return nullptr;
}

[[noreturn]] void refuse(size_t input, const std::string& why) {
  throw std::invalid_argument("input " + std::to_string(input) + " " + why);
}

/// Compares inputs with what the model was compiled for.
void check(const std::vector<RecserveTensor>& expected, const RecserveTensor* inputs, size_t count) {
  if (count != expected.size())
    throw std::invalid_argument(std::to_string(count) + " inputs instead of " +
                                std::to_string(expected.size()));
  std::map<int64_t, int64_t> sizes;  // of shared negative numbers, as the first of them has it
  for (size_t k = 0; k < count; ++k) {
    const RecserveTensor &wanted = expected[k], &given = inputs[k];
    if (wanted.type >= 0 && given.type != wanted.type)
      refuse(k, "has type " + std::to_string(given.type) + " instead of " + std::to_string(wanted.type));
    if ((wanted.rank >= 0 && given.rank != wanted.rank) || given.rank < 0 || given.rank > RECSERVE_MAX_RANK)
      refuse(k,
             "has " + std::to_string(given.rank) + " dimensions instead of " + std::to_string(wanted.rank));
    bool empty = false;
    for (int64_t d = 0; d < given.rank; ++d) {
      const int64_t size = given.sizes[d], want = wanted.rank >= 0 ? wanted.sizes[d] : -1;
      if (size < 0) refuse(k, "has a negative size");
      const int64_t known = want >= 0    ? want
                            : want == -1 ? size
                                         : sizes.try_emplace(want, size).first->second;
      if (size != known)
        refuse(k, "has size " + std::to_string(size) + " in dimension " + std::to_string(d) + " instead of " +
                      std::to_string(known));
      empty = empty || size == 0;
    }
    if (!empty && given.data == nullptr) refuse(k, "has no memory");
  }
}

at::Tensor view_of(const RecserveTensor& input) {
  return at::from_blob(input.data, at::IntArrayRef(input.sizes, static_cast<size_t>(input.rank)),
                       at::TensorOptions(static_cast<at::ScalarType>(input.type)));
}

RecserveTensor seen(const at::Tensor& tensor) {
  if (tensor.dim() > RECSERVE_MAX_RANK)
    throw std::runtime_error("an output has " + std::to_string(tensor.dim()) + " dimensions");
  RecserveTensor view{tensor.data_ptr(), static_cast<int64_t>(tensor.scalar_type()), tensor.dim(), {}};
  for (int64_t d = 0; d < tensor.dim(); ++d) view.sizes[d] = tensor.size(d);
  return view;
}

}  // namespace

RecserveRunner* recserve_runner_open(const char* package, int64_t runners, RecserveError* error) {
  return or_null(error, [&] {
    std::unique_ptr<RecserveRunner> runner(
        new RecserveRunner{{package, "model", false, static_cast<size_t>(runners)}, {}, {}, {}});
    const auto spec = runner->loader.get_call_spec();
    runner->inputs = spec.at(0);
    runner->outputs = spec.at(1);
    return runner;
  });
}

void recserve_runner_close(RecserveRunner* runner) { delete runner; }

const char* recserve_runner_inputs(const RecserveRunner* runner) { return runner->inputs.c_str(); }

const char* recserve_runner_outputs(const RecserveRunner* runner) { return runner->outputs.c_str(); }

void recserve_runner_expect(RecserveRunner* runner, const RecserveTensor* inputs, int64_t count) {
  runner->expected.assign(inputs, inputs + count);
}

RecserveOutputs* recserve_runner_run(RecserveRunner* runner, const RecserveTensor* inputs, int64_t count,
                                     RecserveError* error) {
  return or_null(error, [&] {
    check(runner->expected, inputs, static_cast<size_t>(count));
    const c10::InferenceMode no_gradients;
    std::vector<at::Tensor> tensors;
    tensors.reserve(static_cast<size_t>(count));
    for (int64_t k = 0; k < count; ++k) tensors.push_back(view_of(inputs[k]));
    auto outputs = std::make_unique<RecserveOutputs>();
    for (const at::Tensor& tensor : runner->loader.boxed_run(std::move(tensors))) {
      outputs->tensors.push_back(tensor.cpu().contiguous());
      outputs->views.push_back(seen(outputs->tensors.back()));
    }
    return outputs;
  });
}

int64_t recserve_outputs_count(const RecserveOutputs* outputs) {
  return static_cast<int64_t>(outputs->views.size());
}

const RecserveTensor* recserve_outputs_tensors(const RecserveOutputs* outputs) {
  return outputs->views.data();
}

void recserve_outputs_free(RecserveOutputs* outputs) { delete outputs; }
