// Words and their ids: what vocab_list, vocab_dict and vocab_file come to (docs/reference/features.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recserve {

/// An open-addressing table of words: one probe reads 8 bytes, and compares a word only where 32 bits of the
/// hash agree. The words lie one behind the other in one buffer. Immutable once made, and shared: many
/// features may read one file.
class Vocabulary {
 public:
  /// `indices[i]` is the id of `words[i]`; of a word listed twice the last index counts.
  static std::shared_ptr<const Vocabulary> of(const std::vector<std::string>& words,
                                              const std::vector<int64_t>& indices);

  /// Reads the text of a vocab_file: a line is a word, whose id is the line's number from 0, or
  /// `word<blank>id`. Blank lines count, and name nothing. Blanks are spaces, tabs, \v and \f; a line ends at
  /// \n, \r or both. ConfigError where an id does not fit 64 bits. Cost: some 0.1 s for a million words.
  static std::shared_ptr<const Vocabulary> parse(std::string_view text);

  std::optional<int64_t> find(std::string_view word) const;
  bool knows(std::string_view word) const { return find(word).has_value(); }

  /// Words in the order of their first appearance, with their ids.
  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  std::string_view word(int64_t i) const;
  int64_t id(int64_t i) const { return entries_[i].id; }

  /// Of all ids; 0 of an empty vocabulary.
  int64_t least() const { return least_; }
  int64_t most() const { return most_; }

  /// The same words with the same ids, in the same order.
  bool operator==(const Vocabulary& other) const;
  /// Equal for equal vocabularies.
  uint64_t digest() const { return digest_; }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t entry = 0;  // 1 + place in entries_; 0 = free
  };
  struct Entry {
    size_t begin, end;  // of the word in bytes_
    int64_t id;
    bool operator==(const Entry&) const = default;
  };

  /// `words`: at most.
  explicit Vocabulary(size_t words);
  void insert(std::string_view word, int64_t id);
  void complete();
  size_t slot_of(std::string_view word, uint64_t hash) const;

  std::vector<Slot> slots_;  // a power of two of them, at most 80 % in use
  std::vector<Entry> entries_;
  std::string bytes_;
  int64_t least_ = 0;
  int64_t most_ = 0;
  uint64_t digest_ = 0;
};

}  // namespace recserve
