#include "features/bucketize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "columns/error.h"
#include "columns/text.h"

namespace recserve {

namespace {

constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

/// Digits with an optional sign and blanks around, however many.
bool is_integer(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return false;
  text = text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
  if (text[0] == '+' || text[0] == '-') text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

/// How many boundaries are <= value; NaN is below none of them. The loop has no branch to mispredict.
inline int64_t Bucketizer::bucket_of(float value) const {
  const float* base = boundaries_->data();
  size_t left = boundaries_->size();
  while (left > 0) {
    size_t half = (left + 1) / 2;
    base += !(value < base[half - 1]) ? half : 0;
    left -= half;
  }
  return base - boundaries_->data();
}

Bucketizer Bucketizer::hash(uint64_t buckets, bool farm) {
  if (buckets < 1 || buckets > static_cast<uint64_t>(kMaxInt64)) {
    throw ConfigError("hash_bucket_size " + std::to_string(buckets) + " is not between 1 and 2^63-1");
  }
  Bucketizer made;
  made.kind_ = Kind::Hash;
  made.farm_ = farm;
  made.size_ = static_cast<int64_t>(buckets);
  made.modulo_ = Modulo(buckets);
  return made;
}

Bucketizer Bucketizer::num_buckets(int64_t buckets) {
  if (buckets < 1) throw ConfigError("num_buckets " + std::to_string(buckets) + " is not at least 1");
  Bucketizer made;
  made.kind_ = Kind::NumBuckets;
  made.size_ = buckets;
  return made;
}

Bucketizer Bucketizer::vocab(std::shared_ptr<const Vocabulary> vocabulary, int64_t default_index) {
  const bool empty = vocabulary->size() == 0;
  const int64_t least = empty ? default_index : std::min(default_index, vocabulary->least());
  const int64_t most = empty ? default_index : std::max(default_index, vocabulary->most());
  Bucketizer made;
  made.kind_ = Kind::Vocab;
  made.size_ = least >= 0 && most < kMaxInt64 ? most + 1 : 0;
  made.default_index_ = default_index;
  made.vocab_ = std::move(vocabulary);
  return made;
}

Bucketizer Bucketizer::boundaries(std::vector<float> boundaries) {
  char left[kNumberChars];
  char right[kNumberChars];
  for (size_t i = 0; i < boundaries.size(); ++i) {
    if (std::isnan(boundaries[i])) throw ConfigError("boundaries: entry " + std::to_string(i) + " is NaN");
    if (i > 0 && !(boundaries[i - 1] < boundaries[i])) {
      throw ConfigError("boundaries must increase (as float32): entry " + std::to_string(i) + " (" +
                        std::string(format(double{boundaries[i]}, right)) + ") follows " +
                        std::string(format(double{boundaries[i - 1]}, left)));
    }
  }
  Bucketizer made;
  made.kind_ = Kind::Boundaries;
  made.size_ = static_cast<int64_t>(boundaries.size()) + 1;
  made.boundaries_ = std::make_shared<const std::vector<float>>(std::move(boundaries));
  return made;
}

std::optional<int64_t> Bucketizer::text_unhashed(std::string_view token) const {
  switch (kind_) {
    case Kind::None: return 0;
    case Kind::Hash: return hashed(token);
    case Kind::NumBuckets: return parsed_id(token);
    case Kind::Vocab: return found(token);
    case Kind::Boundaries: break;
  }
  std::optional<double> value = parse_double(token);
  if (!value) return {};
  return bucket_of(static_cast<float>(*value));
}

int64_t Bucketizer::joined_in_memory(std::span<const std::string_view> texts, std::string& scratch) const {
  scratch.assign(texts[0]);
  for (std::string_view text : texts.subspan(1)) scratch.append("_").append(text);
  return *text(scratch);
}

bool Bucketizer::knows(std::string_view word) const { return vocab_ != nullptr && vocab_->knows(word); }

int64_t Bucketizer::integer_unnumbered(int64_t token) const {
  if (kind_ != Kind::Hash) return number_integer(token);
  char decimal[kNumberChars];
  return hashed(format(token, decimal));
}

int64_t Bucketizer::number(float value) const {
  return kind_ == Kind::Hash ? hashed(hash_float(value)) : number64(value);
}

void Bucketizer::numbers(std::span<const float> values, std::span<int64_t> ids) const {
  // One loop for each of the common kinds: the compiler sees what does not change in it.
  switch (kind_) {
    case Kind::Boundaries:
      for (size_t i = 0; i < values.size(); ++i) ids[i] = bucket_of(values[i]);
      return;
    case Kind::NumBuckets:
      for (size_t i = 0; i < values.size(); ++i) ids[i] = in_range(truncated(values[i]));
      return;
    default:
      for (size_t i = 0; i < values.size(); ++i) ids[i] = number(values[i]);
  }
}

int64_t Bucketizer::number64(double value) const {
  char decimal[kNumberChars];
  switch (kind_) {
    case Kind::None: return 0;
    case Kind::Hash: return hashed(hash_double(value));
    case Kind::NumBuckets: return in_range(truncated(value));
    case Kind::Vocab: return found(format(value, decimal));
    case Kind::Boundaries: break;
  }
  return bucket_of(static_cast<float>(value));
}

int64_t Bucketizer::number_integer(int64_t value) const {
  char decimal[kNumberChars];
  switch (kind_) {
    case Kind::None: return 0;
    case Kind::Hash: return hashed(static_cast<uint64_t>(value));
    case Kind::NumBuckets: return in_range(value);
    case Kind::Vocab: return found(format(value, decimal));
    case Kind::Boundaries: break;
  }
  return bucket_of(static_cast<float>(value));
}

int64_t Bucketizer::result(double value, ValueType type) const {
  switch (type) {
    case ValueType::Float32: return number(static_cast<float>(value));
    case ValueType::Float64: return number64(value);
    case ValueType::Int64: break;
  }
  return number_integer(truncated(value));
}

std::optional<int64_t> Bucketizer::parsed_id(std::string_view token) const {
  if (std::optional<int64_t> id = parse_int64(token)) return in_range(*id);
  if (is_integer(token)) return 0;  // an integer that int64 cannot hold is out of range
  return {};
}

int64_t truncated(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return kMaxInt64;
  if (value < -0x1p63) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

}  // namespace recserve
