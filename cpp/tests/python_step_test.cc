// Python steps without Python: what threads share, and how much of it is kept.
#include "features/python_step.h"

#include <atomic>
#include <thread>

#include "tests/test.h"

using namespace recserve;

namespace {

/// Doubles each text, and counts for how many it was asked.
class Doubled : public BatchFunction {
 public:
  ColumnPtr run(std::span<const ColumnPtr> columns, int64_t rows) const override {
    asked += rows;
    std::vector<std::string> texts;
    for (int64_t i = 0; i < rows; ++i) {
      const std::string text(columns[0]->values.text(i));
      texts.push_back(text + text);
    }
    return column_of(std::vector<std::string_view>(texts.begin(), texts.end()));
  }

  mutable std::atomic<int64_t> asked{0};
};

/// The texts of one row each, as the step gives them.
bool is_doubled(const PythonStep& step, const std::vector<std::string>& texts) {
  const ColumnPtr column = column_of(std::vector<std::string_view>(texts.begin(), texts.end()));
  const Cells cells{column.get()};
  const Rules rules;
  Counts counts;
  Sink sink(rules, column->rows, counts);
  step.run({&cells, 1}, column->rows, sink);
  const Column result = sink.finish();
  for (size_t i = 0; i < texts.size(); ++i) {
    if (result.values.text(static_cast<int64_t>(i)) != texts[i] + texts[i]) return false;
  }
  return result.rows == column->rows && result.values.size == column->rows;
}

}  // namespace

TEST(threads_with_new_and_known_values_while_the_memo_starts_over) {
  const auto function = std::make_shared<Doubled>();
  const PythonStep step(function, Unit::Token, '\x1d', "", {.keys = 500, .bytes = 1 << 20});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int turn = 0; turn < 300; ++turn) {
        std::vector<std::string> texts;
        for (int i = 0; i < 40; ++i) texts.push_back(std::to_string((thread * 13 + turn * 37 + i) % 3000));
        if (!is_doubled(step, texts)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK_EQ(wrong.load(), 0);
  CHECK(step.memo().keys() <= 500);
  CHECK(function->asked < 8 * 300 * 40);
}

TEST(a_value_is_computed_once) {
  const auto function = std::make_shared<Doubled>();
  const PythonStep step(function, Unit::Token, '\x1d', "", {});
  CHECK(is_doubled(step, {"a", "b", "a"}));
  CHECK(is_doubled(step, {"b", "a", "c"}));

  CHECK_EQ(function->asked.load(), 3);
  CHECK_EQ(step.memo().keys(), 3);
}
