// From a token or a number to the id of its bucket (docs/reference/features.md).
//
//                   hash                   num_buckets     vocab             boundaries
//   text            hash(text) mod n       parsed integer  index of the word  parsed number
//   integer         hash(decimal) mod n    itself          of its decimal     count of boundaries <= it
//   number          hash(4 bytes) mod n    truncated       of its text        count of boundaries <= it
//   number64        hash(8 bytes) mod n    truncated       of its text        count of boundaries <= it
//   number_integer  itself mod n           itself          of its decimal     count of boundaries <= it
//
// `text` and `integer` are tokens of discrete features; the last three are results of numeric features, by
// their value_type.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "features/hash.h"
#include "features/vocabulary.h"

namespace recserve {

/// `number % divisor` of one divisor and many numbers, by two multiplications instead of a division.
class Modulo {
 public:
  Modulo() = default;
  explicit Modulo(uint64_t divisor) : divisor_(divisor), reciprocal_(UINT64_MAX / divisor) {}
  uint64_t of(uint64_t number) const {
    // The reciprocal is short of 2^64 / divisor by at most one, so the quotient is by at most one, too.
    __extension__ using Wide = unsigned __int128;
    const auto quotient = static_cast<uint64_t>((Wide{number} * reciprocal_) >> 64);
    const uint64_t rest = number - quotient * divisor_;
    // No branch: it would be mispredicted for every fourth hash or so.
    return rest - (divisor_ & -static_cast<uint64_t>(rest >= divisor_));
  }

 private:
  uint64_t divisor_ = 1;
  uint64_t reciprocal_ = UINT64_MAX;
};

/// Immutable once made, cheap to copy, used by many threads at once. Looking a token up allocates nothing.
class Bucketizer {
 public:
  enum class Kind { None, Hash, NumBuckets, Vocab, Boundaries };

  /// What the value of a numeric feature is before it is bucketized (`value_type`).
  enum class ValueType { Float32, Float64, Int64 };

  /// No bucketizer: every id is 0. Ask `kind()` first.
  Bucketizer() = default;

  /// 1 <= buckets <= 2^63 - 1; `farm` takes Fingerprint64 for text. Numbers hash alike in both modes.
  static Bucketizer hash(uint64_t buckets, bool farm);

  /// Ids 0 to buckets - 1 stand for themselves; anything outside, however large, is 0.
  static Bucketizer num_buckets(int64_t buckets);

  /// Unknown words have `default_index`.
  static Bucketizer vocab(std::shared_ptr<const Vocabulary> vocabulary, int64_t default_index);

  /// Strictly increasing; a value equal to a boundary is in the bucket to its right, NaN in the last one.
  static Bucketizer boundaries(std::vector<float> boundaries);

  /// The id of a token. Nothing where the token must be a number (NumBuckets: an integer) and is not.
  std::optional<int64_t> text(std::string_view token) const {
    return kind_ == Kind::Hash ? hashed(token) : text_unhashed(token);
  }

  /// The id of the texts joined by _, for kinds Hash and Vocab. `scratch` is any memory.
  int64_t joined(std::span<const std::string_view> texts, std::string& scratch) const {
    if (kind_ != Kind::Hash || farm_) return joined_in_memory(texts, scratch);
    size_t size = texts.size() - 1;
    for (std::string_view text : texts) size += text.size();
    Murmur64a hash(size);
    hash.append(texts[0]);
    for (std::string_view text : texts.subspan(1)) hash.append('_', text);
    return hashed(hash.finish());
  }

  /// The vocabulary lists the word; false for every other kind.
  bool knows(std::string_view word) const;

  /// The id of an integer token, as if it were written in decimal.
  int64_t integer(int64_t token) const {
    return kind_ == Kind::NumBuckets ? in_range(token) : integer_unnumbered(token);
  }

  /// The id of a numeric result with value_type float.
  int64_t number(float value) const;

  /// `ids[i]` = number(values[i]), of a whole column.
  void numbers(std::span<const float> values, std::span<int64_t> ids) const;

  /// The id of a numeric result with value_type double.
  int64_t number64(double value) const;

  /// The id of a numeric result with an integer value_type: under `hash` the value itself, as an unsigned
  /// number, modulo n.
  int64_t number_integer(int64_t value) const;

  /// Converts a result to its value_type (integers by `truncated`) and gives the id of that.
  int64_t result(double value, ValueType type) const;

  Kind kind() const { return kind_; }

  /// Every id is below it; 0 = unknown (no bucketizer, or a vocabulary with negative indices).
  int64_t size() const { return size_; }

 private:
  /// Without a branch: whether an id is in range may be as good as random.
  int64_t in_range(int64_t id) const {
    return id & -static_cast<int64_t>(static_cast<uint64_t>(id) < static_cast<uint64_t>(size_));
  }
  int64_t hashed(uint64_t hash) const { return static_cast<int64_t>(modulo_.of(hash)); }
  int64_t hashed(std::string_view token) const {
    return hashed(farm_ ? fingerprint64(token) : murmur64a(token));
  }
  int64_t found(std::string_view word) const { return vocab_->find(word).value_or(default_index_); }
  int64_t joined_in_memory(std::span<const std::string_view> texts, std::string& scratch) const;
  int64_t integer_unnumbered(int64_t token) const;
  std::optional<int64_t> text_unhashed(std::string_view token) const;
  int64_t bucket_of(float value) const;
  std::optional<int64_t> parsed_id(std::string_view token) const;

  Kind kind_ = Kind::None;
  bool farm_ = false;
  int64_t size_ = 0;
  Modulo modulo_;  // by size_, of hashes
  int64_t default_index_ = 0;
  std::shared_ptr<const Vocabulary> vocab_;
  std::shared_ptr<const std::vector<float>> boundaries_;
};

/// Toward zero, as every integer value_type does: NaN is 0, what int64 cannot hold is its nearest end.
int64_t truncated(double value);

}  // namespace recserve
