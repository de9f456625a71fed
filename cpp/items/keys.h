// Ids as a request writes them, turned into the keys of a store.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "columns/column.h"
#include "items/hash.h"

namespace recserve::items {

/// Keys in canonical form, with their hashes. Text keys are the raw bytes ("007" is not "7"), numbers in
/// decimal. Integer keys are parsed from text, and text that is no integer is an id that nothing has.
/// Texts are borrowed: the column they come from must live as long.
class Keys {
 public:
  explicit Keys(bool text) : text_(text) {}
  /// One key per row. Throws RequestError when the column holds neither texts nor integers.
  Keys(bool text, const Column& ids);

  static uint32_t hash_of(std::string_view key) { return static_cast<uint32_t>(hash_bytes(key)); }
  static uint32_t hash_of(int64_t key) { return static_cast<uint32_t>(mix(static_cast<uint64_t>(key) + 1)); }

  /// Makes room for about so many keys.
  void reserve(int64_t keys);
  void add(std::string_view id);
  void add(int64_t id);
  /// A null or empty id.
  void add_none();

  int64_t size() const { return static_cast<int64_t>(hashes_.size()); }
  bool text() const { return text_; }
  bool none(int64_t i) const { return none_[i] != 0; }
  uint32_t hash(int64_t i) const { return hashes_[i]; }
  std::string_view text_key(int64_t i) const { return texts_[i]; }
  int64_t int_key(int64_t i) const { return ints_[i]; }
  /// A text, or the int64 as it lies in memory.
  std::string_view bytes(int64_t i) const {
    return text_ ? texts_[i] : std::string_view(reinterpret_cast<const char*>(&ints_[i]), sizeof(int64_t));
  }
  /// As an error message shows it.
  std::string shown(int64_t i) const { return text_ ? std::string(texts_[i]) : std::to_string(ints_[i]); }

 private:
  void add_row(const Column& ids, int64_t row);

  bool text_;
  std::vector<uint8_t> none_;
  std::vector<uint32_t> hashes_;
  std::vector<std::string_view> texts_;  // text keys only
  std::vector<int64_t> ints_;            // integer keys only
  std::deque<std::array<char, 32>> formatted_;
};

/// Collects keys by their bytes, as `Keys::bytes` gives them: a column of texts or of int64.
class KeysBuilder {
 public:
  explicit KeysBuilder(bool text) : text_(text) {}
  void add(std::string_view bytes);
  int64_t size() const { return text_ ? texts_.size() : static_cast<int64_t>(ints_.size()); }
  ColumnPtr finish();

 private:
  bool text_;
  StringsBuilder texts_;
  std::vector<int64_t> ints_;
};

/// The ids of a user's sequence: row 0 of `column`, a text cut at `delimiter`, a list of texts or integers,
/// or one integer; the first `length` of them (0: all). An empty piece is an id that nothing has; a missing
/// cell has no ids. Throws RequestError, naming `group` and `name`, for other columns.
Keys sequence_keys(bool text, const Column& column, std::string_view delimiter, int64_t length,
                   const std::string& group, const std::string& name);

}  // namespace recserve::items
