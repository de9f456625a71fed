#include "features/edit_distance.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace recserve {

namespace {

using Characters = std::vector<uint32_t>;

/// Bytes of the UTF-8 character that `text` begins with; 1 for a byte that begins none.
size_t length_of_character(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t length = first < 0xC2 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 1;
  if (length > text.size()) return 1;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) return 1;
  }
  return length;
}

/// The bytes of each character as one number: it is only compared with others.
void read_characters(std::string_view text, bool utf8, Characters& out) {
  out.clear();
  while (!text.empty()) {
    const size_t length = utf8 ? length_of_character(text) : 1;
    uint32_t character = 0;
    for (size_t i = 0; i < length; ++i) character = character << 8 | static_cast<uint8_t>(text[i]);
    out.push_back(character);
    text.remove_prefix(length);
  }
}

/// One text, prepared to be compared with others: Myers' bit-parallel algorithm (in Hyyrö's form) on blocks
/// of 64 characters. A block is a column of 64 cells of the table of distances, kept as the differences
/// between neighbours; it passes over the other text and hands the differences at its lower edge on to the
/// next block.
class Pattern {
 public:
  void assign(const Characters& characters) {
    size_ = characters.size();
    blocks_.clear();
    for (size_t i = 0; i < size_; ++i) {
      if (i % 64 == 0) blocks_.emplace_back();
      blocks_.back().add(characters[i], i % 64);
    }
  }

  bool empty() const { return size_ == 0; }

  int64_t distance(const Characters& other, std::vector<int8_t>& edge) const {
    edge.assign(other.size(), 1);  // the upper edge of the table: 1 2 3 …
    for (size_t b = 0; b < blocks_.size(); ++b) {
      const size_t rows = std::min<size_t>(64, size_ - b * 64);
      pass(blocks_[b], uint64_t{1} << (rows - 1), other, edge);
    }
    auto distance = static_cast<int64_t>(size_);
    for (int8_t step : edge) distance += step;
    return distance;
  }

 private:
  /// Where each character stands among up to 64.
  class Block {
   public:
    void add(uint32_t character, size_t at) { mask(character) |= uint64_t{1} << at; }
    uint64_t find(uint32_t character) const {
      if (character < bytes_.size()) return bytes_[character];
      const auto found = others_.find(character);
      return found == others_.end() ? 0 : found->second;
    }

   private:
    uint64_t& mask(uint32_t character) {
      return character < bytes_.size() ? bytes_[character] : others_[character];
    }

    std::array<uint64_t, 256> bytes_{};
    std::unordered_map<uint32_t, uint64_t> others_;
  };

  /// `edge`: in, the differences along the block's upper edge; out, along its lower one, the row `last`.
  static void pass(const Block& block, uint64_t last, const Characters& other, std::vector<int8_t>& edge) {
    uint64_t rises = ~uint64_t{0};  // vertical differences of +1
    uint64_t falls = 0;             // and of -1
    for (size_t i = 0; i < other.size(); ++i) {
      const uint64_t above_falls = edge[i] < 0;
      uint64_t equal = block.find(other[i]);
      const uint64_t vertical = equal | falls;
      equal |= above_falls;
      const uint64_t diagonal = (((equal & rises) + rises) ^ rises) | equal;
      uint64_t steps_up = falls | ~(diagonal | rises);
      uint64_t steps_down = rises & diagonal;
      const auto above = edge[i];
      edge[i] = static_cast<int8_t>(((steps_up & last) != 0) - ((steps_down & last) != 0));
      steps_up = steps_up << 1 | static_cast<uint64_t>(above > 0);
      steps_down = steps_down << 1 | above_falls;
      rises = steps_down | ~(vertical | steps_up);
      falls = steps_up & vertical;
    }
  }

  size_t size_ = 0;
  std::vector<Block> blocks_;
};

/// The text of a cell, uncut.
void read_text(const Cells& cells, int64_t row, std::string& text) {
  text.clear();
  if (cells.missing(row)) return;
  const Column& column = *cells.column;
  bool first = true;
  for_each_entry(tokens_of(column), entries(column, cells.at(row)), [&](auto entry) {
    with_text(entry, [&](std::string_view piece) {
      if (!first) text.push_back(kValueSeparator);
      first = false;
      text.append(piece);
    });
  });
}

/// The characters of one input, row by row.
class Reader {
 public:
  Reader(const Cells& cells, bool utf8) : cells_(cells), utf8_(utf8) {}
  const Characters& read(int64_t row) {
    read_text(cells_, row, text_);
    read_characters(text_, utf8_, characters_);
    return characters_;
  }

 private:
  const Cells& cells_;
  bool utf8_;
  std::string text_;
  Characters characters_;
};

}  // namespace

void EditDistanceKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  // The distance is the same both ways, so either may be the pattern.
  const size_t prepared = inputs[1].constant() && !inputs[0].constant() ? 1 : 0;
  const bool constant = inputs[prepared].constant();
  const bool discrete = sink.rules().discrete;
  Reader pattern_reader(inputs[prepared], utf8_);
  Reader other_reader(inputs[1 - prepared], utf8_);
  Pattern pattern;
  std::vector<int8_t> edge;
  if (constant) pattern.assign(pattern_reader.read(0));
  for (int64_t i = 0; i < rows; ++i) {
    if (!constant) pattern.assign(pattern_reader.read(i));
    const Characters& other = other_reader.read(i);
    if (!pattern.empty() && !other.empty()) {
      const int64_t distance = pattern.distance(other, edge);
      if (discrete)
        sink.token(distance);
      else
        sink.number(distance);
    }
    sink.end_row();
  }
}

}  // namespace recserve
