// What cannot be seen from Python: threads, torn rows, memory that is used again.
#include <atomic>
#include <chrono>
#include <numeric>
#include <random>
#include <string>
#include <thread>

#include "columns/text.h"
#include "items/heap.h"
#include "items/store.h"
#include "tests/item_versions.h"
#include "tests/test.h"

using namespace recserve;
using namespace recserve::items;

namespace {

void read_while_written(bool text_keys) {
  constexpr int64_t kGroups = 500;
  constexpr int64_t kGroupSize = 8;
  ItemStore store = version_store(text_keys);
  for (int64_t g = 0; g < kGroups; ++g) upsert(store, group(g, kGroupSize), 1);

  std::atomic<bool> stop{false};
  std::atomic<int64_t> read{0}, gone{0}, torn{0}, mixed{0}, changed{0};
  auto reader = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stop) {
      const Epochs::Pin pin = store.pin();
      const auto keys = group(static_cast<int64_t>(random() % kGroups), kGroupSize);
      const Gathered first = gather(store, pin, keys);
      const Gathered again = gather(store, pin, keys);
      for (int64_t row = 0; row < kGroupSize; ++row) {
        mixed += first.known[row] != first.known[0];
        changed += first.known[row] != again.known[row];
        gone += !first.known[row];
        if (!first.known[row]) continue;
        const int64_t version = version_of(first.raw, row);
        torn += version < 0;
        mixed += version != version_of(first.raw, 0);
        changed += version != version_of(again.raw, row);
      }
      read += 2 * kGroupSize;
    }
  };
  std::thread one(reader, 1), two(reader, 2);
  // Old keys change or go for a while, new ones make the index grow, and those go again.
  std::mt19937_64 random(3);
  int64_t version = 1, fresh = kGroups;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1200);
  while (std::chrono::steady_clock::now() < end) {
    ++version;
    upsert(store, group(static_cast<int64_t>(random() % kGroups), kGroupSize), version);
    upsert(store, group(fresh, kGroupSize), version);
    if (++fresh % 3 == 0) store.remove(*column_of(group(fresh - 1, kGroupSize)));
    if (version % 5 == 0)
      store.remove(*column_of(group(static_cast<int64_t>(random() % kGroups), kGroupSize)));
  }
  stop = true;
  one.join();
  two.join();
  std::printf("  %lld rows read while %lld versions were written\n", static_cast<long long>(read.load()),
              static_cast<long long>(version));
  CHECK(read > 0);
  CHECK(gone > 0);
  CHECK(version > 100);
  CHECK_EQ(torn.load(), 0);
  CHECK_EQ(mixed.load(), 0);
  CHECK_EQ(changed.load(), 0);
}

}  // namespace

TEST(readers_see_whole_rows_while_they_are_replaced) { read_while_written(false); }

TEST(readers_see_whole_rows_under_text_keys) { read_while_written(true); }

TEST(rows_prepared_by_many_threads_are_all_there) {
  ItemStore store = version_store();
  constexpr int64_t kThreads = 4, kRows = 5000;
  std::vector<std::thread> threads;
  std::mutex publishing;
  for (int64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto prepared = store.prepare(version_rows(kRows, t), column_of(group(t, kRows)));
      std::lock_guard lock(publishing);
      store.publish(std::move(prepared));
    });
  }
  for (auto& thread : threads) thread.join();

  const Epochs::Pin pin = store.pin();
  int64_t wrong = 0;
  for (int64_t t = 0; t < kThreads; ++t) {
    const Gathered rows = gather(store, pin, group(t, kRows));
    for (int64_t row = 0; row < kRows; ++row) wrong += version_of(rows.raw, row) != t;
  }
  CHECK_EQ(wrong, 0);
  CHECK_EQ(store.figures().rows, kThreads * kRows);
}

TEST(a_replaced_slot_is_used_again_only_after_its_readers) {
  ItemStore store = version_store();
  const auto keys = group(0, 10);
  upsert(store, keys, 1);
  auto pin = std::make_unique<Epochs::Pin>(store.pin());
  for (int64_t version = 2; version < 20; ++version) upsert(store, keys, version);
  const Gathered pinned = gather(store, *pin, keys);
  CHECK_EQ(version_of(pinned.raw, 3), 1);
  const int64_t held = store.figures().slots;
  CHECK(held >= 190);

  pin.reset();
  for (int64_t version = 20; version < 40; ++version) upsert(store, keys, version);
  CHECK_EQ(store.figures().slots, held);
  CHECK_EQ(version_of(gather(store, store.pin(), keys).raw, 3), 39);
}

TEST(rows_that_are_never_published_leave_nothing_behind) {
  ItemStore store = version_store();
  upsert(store, group(0, 10), 1);
  const int64_t slots = store.figures().slots;
  for (int i = 0; i < 5; ++i) store.prepare(version_rows(10, 7), column_of(group(0, 10)));
  const StoreFigures after = store.figures();
  CHECK_EQ(after.slots, slots + 10);
  CHECK_EQ(after.free_slots, 10);
  CHECK_EQ(version_of(gather(store, store.pin(), group(0, 10)).raw, 0), 1);
}

TEST(a_removed_key_is_gone_and_may_come_back) {
  ItemStore store = version_store();
  upsert(store, group(0, 2000), 1);
  CHECK_EQ(store.remove(*column_of(group(0, 1500))), 1500);
  CHECK_EQ(store.remove(*column_of(group(0, 1500))), 0);
  CHECK_EQ(store.figures().rows, 500);
  for (int64_t version = 2; version < 30; ++version) {
    upsert(store, group(0, 1500), version);
    store.remove(*column_of(group(0, 1500)));
  }
  upsert(store, group(0, 10), 99);
  const Gathered rows = gather(store, store.pin(), {5, 500, 1999});
  CHECK_EQ(int{rows.known[0]}, 1);
  CHECK_EQ(int{rows.known[1]}, 0);
  CHECK_EQ(int{rows.known[2]}, 1);
  CHECK_EQ(version_of(rows.raw, 0), 99);
  CHECK(store.figures().index_bytes <= 8 * 8192);
}

namespace {

/// n0 + 1 as a list of one, where missing counts 0.
class NextNumber : public RowFinisher {
 public:
  Batch finish(const Batch& raw) const override {
    const Column& from = *raw.find("n0");
    std::vector<int64_t> next;
    for (int64_t row = 0; row < raw.rows(); ++row) {
      const int64_t at = from.row_for(row);
      next.push_back((from.missing(at) ? 0 : from.values.as<int64_t>()[at]) + 1);
    }
    Batch finished(raw.rows());
    auto list = std::make_shared<Column>();
    list->shape = Shape::List;
    list->rows = raw.rows();
    std::vector<int32_t> offsets(raw.rows() + 1);
    std::iota(offsets.begin(), offsets.end(), 0);
    list->offsets = Array<int32_t>(std::move(offsets));
    list->values = values_of(std::move(next));
    finished.add("=next", std::move(list));
    return finished;
  }
};

}  // namespace

TEST(finished_columns_are_made_when_a_row_is_written) {
  ItemStore store({.text_keys = false,
                   .raw = version_columns(),
                   .finisher = std::make_shared<NextNumber>(),
                   .reads = {{"=next", {"n0"}}},
                   .always_raw = {"n1"},
                   .limits = {{"=next", 256}}});
  upsert(store, group(0, 4), 41);

  const Selection plain = store.selection(std::vector<std::string>{});
  const Gathered rows =
      store.gather(store.pin(), Keys(false, *column_of(std::vector<int64_t>{2, 77})), plain);
  CHECK_EQ(rows.raw.columns().size(), size_t{1});
  CHECK_EQ(rows.finished.find("=next")->values.as<int64_t>()[0], 42);
  CHECK_EQ(rows.finished.find("=next")->values.as<int64_t>()[1], 1);  // the empty row, finished too

  const Selection hidden = store.selection(std::vector<std::string>{"n0"});
  CHECK_EQ(hidden.finished.size(), size_t{0});
  CHECK_EQ(hidden.raw.size(), size_t{1});
  CHECK_EQ(hidden.sent.size(), size_t{1});
}

TEST(a_value_over_its_limit_is_refused_by_name) {
  ItemStore store({.text_keys = false, .raw = version_columns(), .limits = {{"n3", 256}}});
  upsert(store, group(0, 4), 255);
  std::string message;
  try {
    upsert(store, group(0, 4), 256);
  } catch (const DataError& error) {
    message = error.what();
  }
  CHECK_EQ(message, "item column 'n3': value 256 is not in [0, 256), which was declared");
  CHECK_EQ(version_of(gather(store, store.pin(), {0}).raw, 0), 255);
}

TEST(a_heap_shares_what_repeats_and_stops_when_nothing_does) {
  auto text = [](int64_t i) {
    std::string bytes = "value " + std::to_string(i);
    return static_cast<char>(bytes.size()) + bytes;
  };
  Heap repeating("category"), unique("title");
  uint32_t first = repeating.append(text(0));
  for (int64_t i = 0; i < 200'000; ++i) repeating.append(text(i % 1000));
  for (int64_t i = 0; i < 200'000; ++i) unique.append(text(i));
  CHECK_EQ(repeating.append(text(0)), first);
  CHECK(repeating.shares());
  CHECK(repeating.arena_bytes() < 20'000);
  CHECK(!unique.shares());
  CHECK_EQ(unique.table_bytes(), 0);
}

TEST(a_heap_keeps_what_is_larger_than_a_chunk) {
  Heap heap("document", false);
  heap.append("small");
  const std::string large(2 * Heap::kChunkBytes + 77, 'x');
  const uint32_t handle = heap.append(large);
  const uint32_t behind = heap.append("behind");
  CHECK(std::memcmp(heap.at(handle), large.data(), large.size()) == 0);
  CHECK(std::memcmp(heap.at(behind), "behind", 6) == 0);
}
