#include <string>
#include <thread>

#include "tests/test.h"
#include "wire/block.h"
#include "wire/keep_last.h"
#include "wire/torchrec_request.h"

using namespace recserve;
using namespace recserve::wire;

TEST(arrays_of_a_block_are_aligned_and_outlive_it) {
  std::vector<Array<uint8_t>> bytes;
  std::vector<Array<int64_t>> numbers;
  {
    Block block(64);  // small, so that it has to take more
    for (int i = 0; i < 100; ++i) {
      bytes.push_back(block.keep(std::vector<uint8_t>(1 + i % 7, static_cast<uint8_t>(i))));
      numbers.push_back(block.keep(std::vector<int64_t>(1 + i % 20, i)));
    }
  }
  for (int i = 0; i < 100; ++i) {
    CHECK_EQ(reinterpret_cast<uintptr_t>(numbers[i].data()) % 8, 0u);
    CHECK_EQ(bytes[i][0], static_cast<uint8_t>(i));
    CHECK_EQ(numbers[i][numbers[i].size() - 1], i);
  }
}

TEST(of_equal_keys_the_last_entry_stays_in_the_first_place) {
  std::vector<std::pair<std::string_view, int>> entries;
  const std::vector<std::string> names = {"", "a", "b", "a key of more than eight bytes", "another long key"};
  for (int i = 0; i < 1000; ++i) entries.emplace_back(names[i % names.size()], i);
  int dropped = 0;

  keep_last(entries, [](const auto& e) { return e.first; }, [&](const auto&) { ++dropped; });

  CHECK_EQ(entries.size(), names.size());
  CHECK_EQ(dropped, 995);
  for (size_t i = 0; i < entries.size(); ++i) {
    CHECK_EQ(entries[i].first, names[i]);
    CHECK_EQ(entries[i].second, static_cast<int>(995 + i));
  }
}

TEST(many_threads_decode_with_one_decoder) {
  ColumnTypes types;
  types.emplace("x", parse_column_type("int64"));
  const TorchrecDecoder decoder({types, {}}, {}, {});
  TorchrecRequest request;
  request.user.add("x", column_of(std::vector<std::string_view>{"not a number"}));
  request.item_ids = column_of(std::vector<std::string_view>{"i1", "i2"});
  request.rows = 2;
  const std::string body = encode(request);

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 500; ++j) CHECK(decoder.decode(body).user.find("x")->missing(0));
    });
  }
  for (auto& thread : threads) thread.join();

  CHECK_EQ(decoder.unparsable(), 2000);
}
