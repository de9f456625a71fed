#include "features/vocabulary.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

#include "columns/error.h"
#include "features/hash.h"

namespace recserve {

namespace {

constexpr std::string_view kBlanks = " \t\v\f";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

bool is_integer(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Calls `each` with every line.
template <class Each>
void for_each_line(std::string_view text, Each&& each) {
  for (;;) {
    const size_t end = text.find_first_of("\r\n");
    each(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
  }
}

}  // namespace

Vocabulary::Vocabulary(size_t words) : slots_(std::bit_ceil(words + words / 4 + 1)) {
  if (words >= std::numeric_limits<uint32_t>::max()) throw ConfigError("a vocabulary over 2^32 words");
  entries_.reserve(words);
}

std::shared_ptr<const Vocabulary> Vocabulary::of(const std::vector<std::string>& words,
                                                 const std::vector<int64_t>& indices) {
  if (words.size() != indices.size()) {
    throw ConfigError("a vocabulary has " + std::to_string(words.size()) + " words and " +
                      std::to_string(indices.size()) + " indices; each word needs one");
  }
  std::shared_ptr<Vocabulary> made(new Vocabulary(words.size()));
  for (size_t i = 0; i < words.size(); ++i) made->insert(words[i], indices[i]);
  made->complete();
  return made;
}

std::shared_ptr<const Vocabulary> Vocabulary::parse(std::string_view text) {
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n') +
                                         std::count(text.begin(), text.end(), '\r') + 1);
  std::shared_ptr<Vocabulary> made(new Vocabulary(lines));
  made->bytes_.reserve(text.size());
  int64_t number = 0;
  for_each_line(text, [&](std::string_view line) {
    const int64_t own = number++;
    const std::string_view entry = trimmed(line);
    if (entry.empty()) return;
    const size_t blank = entry.find_last_of(" \t");
    const std::string_view last = blank == std::string_view::npos ? "" : entry.substr(blank + 1);
    if (!is_integer(last)) return made->insert(entry, own);
    int64_t id = 0;
    if (std::from_chars(last.data(), last.data() + last.size(), id).ec != std::errc()) {
      throw ConfigError("line " + std::to_string(own + 1) + ": the index " + std::string(last) +
                        " does not fit 64 bits");
    }
    made->insert(trimmed(entry.substr(0, blank)), id);
  });
  made->complete();
  return made;
}

std::optional<int64_t> Vocabulary::find(std::string_view word) const {
  const Slot& slot = slots_[slot_of(word, murmur64a(word))];
  if (slot.entry == 0) return {};
  return entries_[slot.entry - 1].id;
}

std::string_view Vocabulary::word(int64_t i) const {
  return std::string_view(bytes_).substr(entries_[i].begin, entries_[i].end - entries_[i].begin);
}

bool Vocabulary::operator==(const Vocabulary& other) const {
  return this == &other || (digest_ == other.digest_ && bytes_ == other.bytes_ && entries_ == other.entries_);
}

/// Where the word is, or the free slot where it would be.
size_t Vocabulary::slot_of(std::string_view word, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.entry == 0 || (slot.hash == hash >> 32 && this->word(slot.entry - 1) == word)) return at;
  }
}

void Vocabulary::insert(std::string_view word, int64_t id) {
  const uint64_t hash = murmur64a(word);
  Slot& slot = slots_[slot_of(word, hash)];
  if (slot.entry != 0) {
    entries_[slot.entry - 1].id = id;  // listed twice: the last one counts
    return;
  }
  entries_.push_back({bytes_.size(), bytes_.size() + word.size(), id});
  bytes_ += word;
  slot = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(entries_.size())};
}

void Vocabulary::complete() {
  digest_ = murmur64a(bytes_);
  for (const Entry& entry : entries_) {
    least_ = &entry == entries_.data() ? entry.id : std::min(least_, entry.id);
    most_ = &entry == entries_.data() ? entry.id : std::max(most_, entry.id);
    digest_ = (digest_ ^ (static_cast<uint64_t>(entry.id) + entry.end)) * 0xc6a4a7935bd1e995;
  }
}

}  // namespace recserve
