#include "columns/model_inputs.h"

#include <algorithm>

#include "columns/error.h"

namespace recserve {

namespace {

/// Takes the tensors of one type from every part in turn.
template <class T>
void concatenate(const std::vector<const ModelInputs*>& parts, Numbers<T> ModelInputs::* data,
                 std::vector<int64_t> ModelInputs::* sizes, const std::vector<std::string>& names,
                 ModelInputs& whole) {
  size_t total = 0;
  for (const ModelInputs* part : parts) total += (part->*data).size();
  Numbers<T>& out = whole.*data;
  out.resize(total);
  T* to = out.data();
  std::vector<const T*> from;
  for (const ModelInputs* part : parts) from.push_back((part->*data).data());
  for (size_t tensor = 0; tensor < names.size(); ++tensor) {
    const bool once = names[tensor] == "batch_size";
    int64_t length = 0;
    for (size_t part = 0; part < parts.size(); ++part) {
      const int64_t size = (parts[part]->*sizes)[tensor];
      if (part == 0 || !once) {
        to = std::copy_n(from[part], size, to);
        length += size;
      }
      from[part] += size;
    }
    (whole.*sizes).push_back(length);
  }
  out.resize(static_cast<size_t>(to - out.data()));
}

}  // namespace

ModelInputs concatenated(const std::vector<const ModelInputs*>& parts) {
  if (parts.empty()) throw DataError("model inputs: there is nothing to put together");
  ModelInputs whole;
  whole.names = parts[0]->names;
  for (const ModelInputs* part : parts) {
    if (part->names != whole.names) throw DataError("model inputs: those of two plans do not fit together");
  }
  concatenate(parts, &ModelInputs::ints, &ModelInputs::int_sizes, whole.names->ints, whole);
  concatenate(parts, &ModelInputs::floats, &ModelInputs::float_sizes, whole.names->floats, whole);
  return whole;
}

}  // namespace recserve
