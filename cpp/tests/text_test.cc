// Short cuts for texts give what the plain way gives.
#include "columns/text.h"

#include <random>
#include <string>
#include <vector>

#include "features/bucketize.h"
#include "features/hash.h"
#include "tests/test.h"

using namespace recserve;

namespace {

/// A text of few different bytes, separators among them.
std::string random_text(std::mt19937_64& random, size_t longest) {
  static constexpr char bytes[] = {'a', 'b', ';', '\x1d', '|', '\0', '\x80', '\xff'};
  std::string text(random() % (longest + 1), 'a');
  for (char& c : text) c = bytes[random() % sizeof bytes];
  return text;
}

}  // namespace

TEST(a_separator_is_found_wherever_it_is) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = random_text(random, 20);
    for (char separator : {'|', '\0', '\xff', 'z'}) {
      const bool found =
          text.find(separator) != std::string::npos || text.find(kValueSeparator) != std::string::npos;
      CHECK_EQ(has_separator(text, separator), found);
    }
  }
}

TEST(elements_are_the_same_by_bytes_and_by_words) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = random_text(random, 30);
    if (text.empty()) continue;
    const int64_t limit = static_cast<int64_t>(random() % 5);
    std::vector<std::string> cut, expected;
    for_each_element(text, std::string_view(";"), limit,
                     [&](std::string_view piece) { cut.emplace_back(piece); });
    for (size_t start = 0; limit == 0 || static_cast<int64_t>(expected.size()) < limit;) {
      const size_t end = text.find(';', start);
      expected.push_back(text.substr(start, end - start));
      if (end == std::string::npos) break;
      start = end + 1;
    }
    CHECK(cut == expected);
  }
}

TEST(a_text_in_pieces_has_the_hash_of_the_whole) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    const std::string first = random_text(random, 20), second = random_text(random, 20);
    std::string whole = first;
    whole.append("_").append(second);
    Murmur64a pieces(whole.size());
    pieces.append(first);
    pieces.append('_', second);
    CHECK_EQ(pieces.finish(), murmur64a(whole));
    for (const Bucketizer& bucketizer : {Bucketizer::hash(1000, false), Bucketizer::hash(1000, true)}) {
      std::string scratch;
      const std::vector<std::string_view> texts = {first, second};
      CHECK_EQ(bucketizer.joined(texts, scratch), *bucketizer.text(whole));
    }
  }
}

TEST(a_modulo_by_multiplication_is_the_modulo) {
  std::mt19937_64 random(4);
  std::vector<uint64_t> numbers = {
      0, 1, 2, 3, UINT64_MAX, UINT64_MAX - 1, 1ull << 63, (1ull << 63) - 1, 1ull << 32};
  for (int i = 0; i < 2000; ++i) numbers.push_back(random() >> (random() % 64));
  for (uint64_t divisor : numbers) {
    if (divisor == 0) continue;
    const Modulo modulo(divisor);
    for (uint64_t number : numbers) CHECK_EQ(modulo.of(number), number % divisor);
  }
}
