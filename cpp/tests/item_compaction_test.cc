// Compaction gives memory back, and nobody who reads or writes meanwhile sees anything of it.
#include "items/compaction.h"

#include <atomic>
#include <random>
#include <thread>

#include "items/refresh.h"
#include "tests/item_versions.h"
#include "tests/test.h"

using namespace recserve;
using namespace recserve::items;

namespace {

/// Version rows under keys so long that their texts are in a heap, with a text of their own beside.
constexpr int64_t kTextBytes = 200;

ItemStore long_store() {
  ColumnTypes types = version_columns();
  types.emplace_back("long", ColumnType{});
  return ItemStore({.text_keys = true, .raw = types});
}

std::string long_key(int64_t key) { return "the key of an item, number " + std::to_string(key); }

std::string long_text(int64_t key, int64_t version) {
  std::string text = std::to_string(key) + "/" + std::to_string(version) + " ";
  text.resize(kTextBytes, static_cast<char>('a' + version % 26));
  return text;
}

ColumnPtr long_keys(const std::vector<int64_t>& keys) {
  StringsBuilder texts;
  for (const int64_t key : keys) texts.append(long_key(key));
  auto column = std::make_shared<Column>();
  column->rows = static_cast<int64_t>(keys.size());
  column->values = texts.finish();
  return column;
}

Batch long_rows(const std::vector<int64_t>& keys, int64_t version) {
  Batch batch = version_rows(static_cast<int64_t>(keys.size()), version);
  StringsBuilder texts;
  for (const int64_t key : keys) texts.append(long_text(key, version));
  auto column = std::make_shared<Column>();
  column->rows = static_cast<int64_t>(keys.size());
  column->values = texts.finish();
  batch.add("long", std::move(column));
  return batch;
}

void write(ItemStore& store, const std::vector<int64_t>& keys, int64_t version) {
  store.publish(store.prepare(long_rows(keys, version), long_keys(keys)));
}

/// The version that every cell of the item says; -1: torn, 0: it is not there.
int64_t version_at(const Gathered& rows, int64_t row, int64_t key) {
  if (rows.known[row] == 0) return 0;
  const int64_t version = version_of(rows.raw, row);
  return rows.raw.find("long")->values.text(row) == long_text(key, version) ? version : -1;
}

Gathered read(const ItemStore& store, const Epochs::Pin& pin, const std::vector<int64_t>& keys) {
  return store.gather(pin, Keys(true, *long_keys(keys)), everything(store));
}

int64_t arena(ItemStore& store) {
  store.publish(store.prepare(long_rows({0}, 1), long_keys({0})));  // gives back what waits
  int64_t bytes = 0;
  for (const CompactedColumn& column : store.compact(1).columns) bytes += column.before_bytes;
  return bytes;
}

}  // namespace

TEST(compaction_gives_back_what_no_row_refers_to) {
  constexpr int64_t kItems = 20'000;
  ItemStore store = long_store();
  const std::vector<int64_t> keys = group(0, kItems);
  for (int64_t version = 1; version <= 10; ++version) write(store, keys, version);
  for (int64_t key = 0; key < kItems; key += 2) store.remove(*long_keys({key}));
  const int64_t before = arena(store);
  CHECK(store.figures().garbage_bytes > before / 2);

  const Compaction compaction = store.compact(0.3);
  CHECK(compaction.rows_moved > 0);
  const int64_t after = arena(store);
  // Half of the items are left, each with its text and key; whole blocks of them were not worth moving.
  CHECK(after < 2 * (kItems / 2 * (kTextBytes + 40)));
  CHECK(after < before / 5);
  CHECK(store.figures().garbage_bytes < after / 2);
  const Gathered rows = read(store, store.pin(), keys);
  int64_t wrong = 0;
  for (int64_t key = 1; key < kItems; ++key) wrong += version_at(rows, key, key) != (key % 2 == 0 ? 0 : 10);
  CHECK_EQ(wrong, 0);

  // The places are used again: the store may be written for ever.
  for (int64_t version = 11; version <= 15; ++version) {
    write(store, keys, version);
    store.compact(0.3);
  }
  CHECK(arena(store) < 3 * kItems * (kTextBytes + 40));
  CHECK_EQ(version_at(read(store, store.pin(), keys), kItems - 1, kItems - 1), 15);
}

TEST(a_store_without_garbage_is_left_alone) {
  ItemStore store = long_store();
  write(store, group(0, 5000), 1);
  const Compaction compaction = store.compact(0.3);
  CHECK_EQ(compaction.rows_moved, 0);
  for (const CompactedColumn& column : compaction.columns) CHECK_EQ(column.after_bytes, column.before_bytes);
}

TEST(readers_and_writers_go_on_while_the_store_is_compacted) {
  constexpr int64_t kGroups = 1000, kGroupSize = 8;
  ItemStore store = long_store();
  for (int64_t g = 0; g < kGroups; ++g) write(store, group(g, kGroupSize), 1);
  std::atomic<bool> stop{false};
  std::atomic<int64_t> reads{0}, torn{0}, mixed{0}, changed{0}, lost{0};
  auto reader = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stop) {
      const Epochs::Pin pin = store.pin();
      const std::vector<int64_t> keys = group(static_cast<int64_t>(random() % kGroups), kGroupSize);
      const Gathered first = read(store, pin, keys);
      const Gathered again = read(store, pin, keys);
      for (int64_t row = 0; row < kGroupSize; ++row) {
        const int64_t version = version_at(first, row, keys[row]);
        torn += version < 0;
        lost += version == 0 && keys[0] < kGroups / 2 * kGroupSize;  // these are never removed
        mixed += version != version_at(first, 0, keys[0]);
        changed += version != version_at(again, row, keys[row]);
      }
      reads += 2 * kGroupSize;
    }
  };
  std::vector<int64_t> newest(kGroups, 1);  // by group; 0: removed
  auto writer = [&] {
    std::mt19937_64 random(7);
    for (int64_t version = 2; !stop; ++version) {
      const auto g = static_cast<int64_t>(random() % kGroups);
      if (g >= kGroups / 2 && random() % 4 == 0) {
        store.remove(*long_keys(group(g, kGroupSize)));
        newest[g] = 0;
      } else {
        write(store, group(g, kGroupSize), version);
        newest[g] = version;
      }
    }
  };
  std::thread one(reader, 1), two(writer);
  int64_t moved = 0, largest = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(2500);
  for (int i = 0; i < 3 || std::chrono::steady_clock::now() < end; ++i) {
    const Compaction compaction = store.compact(i % 2 == 0 ? 0.1 : 0.3);
    moved += compaction.rows_moved;
    for (const CompactedColumn& column : compaction.columns) largest = std::max(largest, column.before_bytes);
  }
  stop = true;
  one.join();
  two.join();
  std::printf("  %lld rows read, %lld moved, no arena over %lld bytes\n",
              static_cast<long long>(reads.load()), static_cast<long long>(moved),
              static_cast<long long>(largest));
  CHECK(reads > 0);
  CHECK(moved > 0);
  CHECK_EQ(torn.load(), 0);
  CHECK_EQ(mixed.load(), 0);
  CHECK_EQ(changed.load(), 0);
  CHECK_EQ(lost.load(), 0);
  int64_t wrong = 0;
  for (int64_t g = 0; g < kGroups; ++g) {
    const std::vector<int64_t> keys = group(g, kGroupSize);
    const Gathered rows = read(store, store.pin(), keys);
    for (int64_t row = 0; row < kGroupSize; ++row) wrong += version_at(rows, row, keys[row]) != newest[g];
  }
  CHECK_EQ(wrong, 0);
}

TEST(rows_that_were_prepared_before_are_whole_when_they_are_published_after) {
  ItemStore store = long_store();
  const std::vector<int64_t> keys = group(0, 20'000);
  for (int64_t version = 1; version <= 4; ++version) write(store, keys, version);
  auto prepared = std::make_unique<ItemStore::Prepared>(store.prepare(long_rows(keys, 5), long_keys(keys)));
  std::atomic<bool> done{false};
  std::thread compacting([&] {
    store.compact(0.3);
    done = true;
  });
  // It waits for them, and they do not wait for it. (Time for it to begin; were that too short, nothing
  // fails.)
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(!done);
  store.publish(std::move(*prepared));
  prepared.reset();
  compacting.join();
  const Gathered rows = read(store, store.pin(), keys);
  int64_t wrong = 0;
  for (int64_t row = 0; row < rows.raw.rows(); ++row) wrong += version_at(rows, row, keys[row]) != 5;
  CHECK_EQ(wrong, 0);
}

TEST(a_pinned_reader_keeps_what_it_sees_through_a_compaction) {
  ItemStore store = long_store();
  const std::vector<int64_t> keys = group(0, 20'000);
  for (int64_t version = 1; version <= 3; ++version) write(store, keys, version);
  auto pin = std::make_unique<Epochs::Pin>(store.pin());
  write(store, keys, 4);
  store.compact(0.1);
  write(store, keys, 5);
  const Gathered pinned = read(store, *pin, keys);
  int64_t wrong = 0;
  for (int64_t row = 0; row < pinned.raw.rows(); ++row) wrong += version_at(pinned, row, keys[row]) != 3;
  CHECK_EQ(wrong, 0);
  const auto held = [&] { return store.figures().arena_bytes + store.figures().dictionary_bytes; };
  const int64_t before = held();
  pin.reset();
  write(store, {0}, 5);  // gives back what waited
  CHECK(held() < before / 2);
}

TEST(marks_of_an_open_refresh_follow_rows_that_are_moved) {
  ColumnTypes types{{"text", ColumnType{}}, {"#0", ColumnType{.type = Type::Int64}}};
  ItemStore store({.text_keys = false, .raw = types});
  constexpr int64_t kItems = 20'000;
  const std::vector<int64_t> keys = group(0, kItems);
  const auto rows = [&](const std::vector<int64_t>& of, int64_t version) {
    Batch batch(static_cast<int64_t>(of.size()));
    StringsBuilder texts;
    for (const int64_t key : of) texts.append(long_text(key, version));
    auto column = std::make_shared<Column>();
    column->rows = batch.rows();
    column->values = texts.finish();
    batch.add("text", std::move(column));
    batch.add("#0", column_of(std::vector<int64_t>(of.size(), version)));
    return batch;
  };
  for (int64_t version = 1; version <= 3; ++version)
    store.publish(store.prepare(rows(keys, version), column_of(keys)));

  Refresh refresh(store, "#0");
  const std::vector<int64_t> half(keys.begin(), keys.begin() + kItems / 2);
  refresh.changed(*column_of(half), *column_of(std::vector<int64_t>(half.size(), 3)), nullptr);
  CHECK(store.compact(0.1).rows_moved > 0);

  Refresh::Unseen unseen(refresh);
  int64_t listed = 0, wrong = 0;
  for (ColumnPtr some = unseen.next(1000); some != nullptr; some = unseen.next(1000)) {
    listed += some->rows;
    for (const int64_t key : some->values.as<int64_t>()) wrong += key < kItems / 2;
  }
  CHECK_EQ(listed, kItems / 2);
  CHECK_EQ(wrong, 0);
}

TEST(a_compacted_store_is_saved_and_restored) {
  ItemStore store = long_store();
  const std::vector<int64_t> keys = group(0, 20'000);
  for (int64_t version = 1; version <= 4; ++version) write(store, keys, version);
  store.compact(0.1);
  const std::string path = "/tmp/recserve-compacted-" + std::to_string(std::random_device()()) + ".image";
  store.save(path, "{}");
  ItemStore restored = long_store();
  restored.restore(Image(path));
  std::remove(path.c_str());
  for (int64_t version = 5; version <= 8; ++version) write(restored, group(0, 10'000), version);
  CHECK(restored.compact(0.1).rows_moved > 0);
  const Gathered rows = read(restored, restored.pin(), keys);
  int64_t wrong = 0;
  for (int64_t row = 0; row < rows.raw.rows(); ++row) {
    wrong += version_at(rows, row, keys[row]) != (row < 10'000 ? 8 : 4);
  }
  CHECK_EQ(wrong, 0);
}
