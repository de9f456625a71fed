// Refreshes by threads: two tables at once, with fresher rows and deletes in between, and readers.
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "items/refresh.h"
#include "items/row_hash.h"
#include "items/scan.h"
#include "tests/test.h"

using namespace recserve;
using namespace recserve::items;

namespace {

constexpr int64_t kKeys = 3000;
constexpr int64_t kRowsAtOnce = 97;
constexpr int64_t kAbsent = -1;
constexpr int kOutdone = 50;

/// What two tables say of a key; a row of the store holds "v0", "#0", "v1" and "#1".
using Parts = std::array<int64_t, 2>;

ColumnTypes parts_columns() {
  ColumnTypes types;
  for (const char* name : {"v0", "#0", "v1", "#1"}) types.emplace_back(name, ColumnType{.type = Type::Int64});
  return types;
}

ColumnPtr hashes_of(const ColumnPtr& values) {
  Batch batch(values->rows);
  batch.add("v", values);
  return hash_rows(batch);
}

/// Values where `kAbsent` is null.
ColumnPtr nullable(const std::vector<int64_t>& values, ColumnPtr like) {
  ValidBuilder valid;
  for (int64_t value : values) valid.append(value != kAbsent);
  auto column = std::make_shared<Column>(*like);
  column->valid = valid.finish();
  return column;
}

Batch rows_of(const std::vector<Parts>& rows) {
  Batch batch(static_cast<int64_t>(rows.size()));
  for (int table : {0, 1}) {
    std::vector<int64_t> values;
    for (const Parts& parts : rows) values.push_back(parts[table]);
    const ColumnPtr column = column_of(std::vector<int64_t>(values));
    batch.add(table == 0 ? "v0" : "v1", nullable(values, column));
    batch.add(table == 0 ? "#0" : "#1", nullable(values, hashes_of(column)));
  }
  return batch;
}

/// Writers that know one part only read the other one first, so they take turns.
class Writer {
 public:
  ItemStore store{{.text_keys = false, .raw = parts_columns()}};
  std::array<std::unique_ptr<Refresh>, 2> refreshes;
  std::array<std::atomic<int>, 2> outdone{};  // rows that were fresher than the refresh
  std::mutex turn;

  std::vector<Parts> read(const std::vector<int64_t>& keys) {
    const Epochs::Pin pin = store.pin();
    const Gathered found = store.gather(pin, Keys(false, *column_of(keys)),
                                        store.selection(std::set<std::string>{"v0", "v1"}, {}));
    std::vector<Parts> rows;
    for (int64_t i = 0; i < static_cast<int64_t>(keys.size()); ++i) {
      Parts& parts = rows.emplace_back();
      for (int table : {0, 1}) {
        const Column& column = *found.raw.find(table == 0 ? "v0" : "v1");
        parts[table] = column.is_valid(i) ? column.values.as<int64_t>()[i] : kAbsent;
      }
    }
    return rows;
  }

  void write(int table, const std::vector<int64_t>& keys, const std::vector<int64_t>& values,
             Refresh* refresh) {
    std::vector<Parts> rows = read(keys);
    for (size_t i = 0; i < keys.size(); ++i) rows[i][table] = values[i];
    store.publish(store.prepare(rows_of(rows), column_of(keys)), UINT64_MAX, refresh);
  }

  /// Takes one table's part away; a row without parts goes.
  void take_away(int table, const std::vector<int64_t>& keys) {
    std::vector<int64_t> left, gone;
    for (const auto& parts : {read(keys)}) {
      for (size_t i = 0; i < keys.size(); ++i)
        (parts[i][1 - table] == kAbsent ? gone : left).push_back(keys[i]);
    }
    if (!left.empty()) write(table, left, std::vector<int64_t>(left.size(), kAbsent), nullptr);
    if (!gone.empty()) store.remove(*column_of(gone));
  }

  void refresh(int table, const std::map<int64_t, int64_t>& content) {
    {
      std::lock_guard lock(turn);
      refreshes[table] = std::make_unique<Refresh>(store, table == 0 ? "#0" : "#1");
      outdone[table] = 0;
    }
    Refresh& mine = *refreshes[table];
    std::vector<int64_t> keys, values;
    for (auto at = content.begin(); at != content.end();) {
      keys.clear(), values.clear();
      for (; at != content.end() && static_cast<int64_t>(keys.size()) < kRowsAtOnce; ++at)
        keys.push_back(at->first), values.push_back(at->second);
      std::lock_guard lock(turn);
      const auto changed = mine.changed(*column_of(keys), *hashes_of(column_of(values)), nullptr);
      std::vector<int64_t> changed_keys, changed_values;
      for (size_t i = 0; i < keys.size(); ++i) {
        if (changed[i]) changed_keys.push_back(keys[i]), changed_values.push_back(values[i]);
      }
      if (!changed_keys.empty()) write(table, changed_keys, changed_values, &mine);
    }
    while (outdone[table] < kOutdone) std::this_thread::yield();
    Refresh::Unseen unseen(mine);
    for (bool more = true; more;) {
      std::lock_guard lock(turn);
      const ColumnPtr gone = unseen.next(kRowsAtOnce);
      more = gone != nullptr;
      if (more) {
        const auto numbers = gone->values.as<int64_t>();
        take_away(table, {numbers.begin(), numbers.end()});
      }
    }
    std::lock_guard lock(turn);
    refreshes[table].reset();
  }
};

std::map<int64_t, int64_t> drawn_table(std::mt19937_64& random, const std::map<int64_t, int64_t>& before) {
  std::map<int64_t, int64_t> table;
  for (int64_t key = 0; key < kKeys; ++key) {
    if (random() % 10 == 0) continue;
    auto old = before.find(key);
    const bool same = old != before.end() && random() % 10 != 0;
    table[key] = same ? old->second : static_cast<int64_t>(random() % 1000);
  }
  return table;
}

}  // namespace

TEST(two_tables_are_refreshed_at_once_while_fresher_rows_come_and_go) {
  Writer writer;
  std::array<std::map<int64_t, int64_t>, 2> tables;  // as the next refresh will leave them
  std::mt19937_64 random(1);
  for (int round = 0; round < 6; ++round) {
    for (auto& table : tables) table = drawn_table(random, table);
    auto expected = tables;
    std::atomic<int> running{2};
    std::vector<std::thread> threads;
    for (int table : {0, 1}) {
      threads.emplace_back([&writer, &running, &content = tables[table], table] {
        writer.refresh(table, content);
        --running;
      });
    }
    while (running > 0) {
      const int table = static_cast<int>(random() % 2);
      const auto key = static_cast<int64_t>(random() % kKeys);
      const auto value = static_cast<int64_t>(random() % 1000);
      std::lock_guard lock(writer.turn);
      if (writer.refreshes[table] == nullptr) continue;  // before it or behind it there is nothing to outdo
      writer.refreshes[table]->protect(*column_of(std::vector<int64_t>{key}));
      ++writer.outdone[table];
      if (random() % 2 == 0) {
        writer.write(table, {key}, {value}, nullptr);
        expected[table][key] = value;
      } else {
        writer.take_away(table, {key});
        expected[table].erase(key);
      }
    }
    for (auto& thread : threads) thread.join();

    tables = expected;
    std::vector<int64_t> keys(kKeys);
    std::iota(keys.begin(), keys.end(), 0);
    const std::vector<Parts> found = writer.read(keys);
    int64_t wrong = 0;
    std::set<int64_t> all;
    for (int table : {0, 1}) {
      for (int64_t key : keys) {
        auto at = expected[table].find(key);
        wrong += found[key][table] != (at == expected[table].end() ? kAbsent : at->second);
        if (at != expected[table].end()) all.insert(key);
      }
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(writer.store.figures().rows, static_cast<int64_t>(all.size()));
  }
}

TEST(a_scan_sees_one_moment_while_everything_is_rewritten) {
  Writer writer;
  std::vector<int64_t> keys(kKeys);
  std::iota(keys.begin(), keys.end(), 0);
  writer.write(0, keys, std::vector<int64_t>(kKeys, 0), nullptr);
  std::atomic<bool> stop{false};
  std::thread rewriting([&] {
    for (int64_t version = 1; !stop; ++version) {
      writer.write(0, keys, std::vector<int64_t>(kKeys, version), nullptr);
      std::vector<int64_t> more(kKeys);
      std::iota(more.begin(), more.end(), kKeys * version);
      writer.write(0, more, std::vector<int64_t>(kKeys, version), nullptr);
      writer.store.remove(*column_of(more));
      writer.store.remove(*column_of(keys));
    }
  });
  int64_t mixed = 0, partial = 0, full = 0;
  for (int i = 0; i < 200 || full < 20; ++i) {  // now and then there is nothing to see
    Scan scan(writer.store, nullptr);
    std::set<int64_t> versions;
    std::set<int64_t> seen;
    for (;;) {
      const auto [found, batch] = scan.next(100);
      if (found == nullptr) break;
      for (int64_t row = 0; row < batch.rows(); ++row) {
        const int64_t key = found->values.as<int64_t>()[row];
        mixed += !seen.insert(key).second;
        versions.insert(batch.find("v0")->values.as<int64_t>()[row]);
      }
    }
    mixed += versions.size() > 1;
    partial += static_cast<int64_t>(seen.size()) % kKeys != 0;
    full += !seen.empty();
  }
  stop = true;
  rewriting.join();
  CHECK_EQ(mixed, 0);
  CHECK_EQ(partial, 0);
}
