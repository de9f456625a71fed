#include "columns/model_inputs.h"

#include <algorithm>
#include <limits>
#include <span>

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

/// Copies the tensors of one type, some of them `rows` times. `times` has an entry for each.
template <class T>
void repeat(const Numbers<T>& data, const std::vector<int64_t>& sizes, std::span<const int64_t> times,
            Numbers<T>& out, std::vector<int64_t>& out_sizes) {
  int64_t total = 0;
  for (size_t tensor = 0; tensor < sizes.size(); ++tensor) total += sizes[tensor] * times[tensor];
  out.resize(static_cast<size_t>(total));
  out_sizes.reserve(sizes.size());
  const T* from = data.data();
  T* to = out.data();
  for (size_t tensor = 0; tensor < sizes.size(); ++tensor) {
    for (int64_t row = 0; row < times[tensor]; ++row) to = std::copy_n(from, sizes[tensor], to);
    from += sizes[tensor];
    out_sizes.push_back(sizes[tensor] * times[tensor]);
  }
}

}  // namespace

ModelInputs repeated(const ModelInputs& inputs, const std::vector<size_t>& once, int64_t rows) {
  const auto& names = *inputs.names;
  const size_t ints = names.ints.size();
  if (rows < 0) throw DataError("model inputs: a request has no fewer than 0 rows");
  std::vector<int64_t> times(ints + names.floats.size(), 1);
  for (const size_t position : once) {
    if (position >= times.size()) throw DataError("model inputs: there are not so many tensors");
    times[position] = rows;
  }
  ModelInputs whole;
  whole.names = inputs.names;
  const std::span<const int64_t> all(times);
  repeat(inputs.ints, inputs.int_sizes, all.first(ints), whole.ints, whole.int_sizes);
  repeat(inputs.floats, inputs.float_sizes, all.subspan(ints), whole.floats, whole.float_sizes);
  int64_t* at = whole.ints.data();
  for (size_t tensor = 0; tensor < ints; ++tensor) {
    if (names.ints[tensor] == "batch_size") std::fill_n(at, whole.int_sizes[tensor], 1);
    at += whole.int_sizes[tensor];
  }
  return whole;
}

bool has_sizes(const ModelInputs& inputs, const std::vector<size_t>& positions,
               const std::vector<int64_t>& sizes) {
  const size_t ints = inputs.int_sizes.size();
  if (positions.size() != sizes.size()) throw DataError("model inputs: as many sizes as positions, please");
  for (size_t k = 0; k < positions.size(); ++k) {
    const size_t at = positions[k];
    if (at >= ints + inputs.float_sizes.size())
      throw DataError("model inputs: there are not so many tensors");
    if ((at < ints ? inputs.int_sizes[at] : inputs.float_sizes[at - ints]) != sizes[k]) return false;
  }
  return true;
}

int64_t least(const ModelInputs& inputs, const std::vector<size_t>& positions) {
  int64_t found = std::numeric_limits<int64_t>::max();
  const int64_t* at = inputs.ints.data();
  size_t tensor = 0;
  for (const size_t position : positions) {
    if (position < tensor || position >= inputs.int_sizes.size()) {
      throw DataError("model inputs: positions of int tensors ascend");
    }
    for (; tensor < position; ++tensor) at += inputs.int_sizes[tensor];
    for (int64_t k = 0; k < inputs.int_sizes[position]; ++k) found = std::min(found, at[k]);
  }
  return found;
}

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
