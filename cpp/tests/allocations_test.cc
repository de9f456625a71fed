// The calls that run once per value take no memory from the heap.
#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include "features/bucketize.h"
#include "features/expression.h"
#include "features/normalize.h"
#include "tests/test.h"

namespace {
thread_local long allocations = 0;
}

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

using namespace recserve;

TEST(looking_up_values_allocates_nothing) {
  const std::vector<Bucketizer> bucketizers = {
      Bucketizer::hash(100, false), Bucketizer::hash(100, true), Bucketizer::num_buckets(10),
      Bucketizer::vocab(Vocabulary::of({"a word that is longer than a short string", "b"}, {0, 1}), 2),
      Bucketizer::boundaries({1, 2, 3})};
  const std::string_view token = "a word that is longer than a short string";
  const long before = allocations;
  int64_t sum = 0;
  for (const Bucketizer& bucketizer : bucketizers) {
    sum += bucketizer.text(token).value_or(0) + bucketizer.integer(-123456789) + bucketizer.number(1.5F);
  }
  CHECK_EQ(allocations, before);
  CHECK(sum > 0);
}

TEST(a_formula_of_scalars_allocates_nothing) {
  const Expression formula = Expression::parse("max(a, b, 3) > 2 ? sqrt(a) * b : rnd()", {"a", "b"});
  const Normalizer normalizer = Normalizer::parse("method=expression,expr=log(x) / 2");
  const std::array<double, 2> variables = {4, 5};
  const long before = allocations;
  CHECK_EQ(formula.scalar(variables), 10.0);
  CHECK_EQ(normalizer.number(1), 0.0F);
  CHECK_EQ(allocations, before);
}

TEST(a_column_of_results_allocates_only_itself) {
  const Expression formula = Expression::parse("a * 2 + b", {"a", "b"});
  const std::vector<double> a(10'000, 1.5);
  const std::vector<double> b = {1};
  std::vector<double> out;
  out.reserve(a.size());
  const std::array<std::span<const double>, 2> variables = {a, b};
  const long before = allocations;
  formula.evaluate(variables, 0, out);
  CHECK_EQ(allocations, before);
  CHECK_EQ(out.size(), a.size());
  CHECK_EQ(out.back(), 4.0);
}
