// The default hash is libstdc++'s own, which is what the training side calls.
#include "features/hash.h"

#include <functional>
#include <limits>
#include <string>

#include "tests/test.h"

#if defined(__GLIBCXX__) && defined(__x86_64__)

TEST(text_hashes_as_the_standard_library_does) {
  std::string text;
  for (int length = 0; length <= 1024; ++length) {
    CHECK_EQ(recserve::murmur64a(text), std::hash<std::string>{}(text));
    text += static_cast<char>(length * 167 + 13);
  }
}

TEST(numbers_hash_as_the_standard_library_does) {
  for (float number : {0.0F, -0.0F, 10.0F, 20.0F, -1.5F, std::numeric_limits<float>::infinity()}) {
    CHECK_EQ(recserve::hash_float(number), std::hash<float>{}(number));
    CHECK_EQ(recserve::hash_double(number), std::hash<double>{}(number));
  }
}

#endif

TEST(a_text_is_hashed_from_any_address) {
  const std::string text(200, 'x');
  for (size_t start = 0; start < 8; ++start) {
    const std::string shifted = std::string(start, ' ') + text;
    CHECK_EQ(recserve::fingerprint64(std::string_view(shifted).substr(start)), recserve::fingerprint64(text));
    CHECK_EQ(recserve::murmur64a(std::string_view(shifted).substr(start)), recserve::murmur64a(text));
  }
}
