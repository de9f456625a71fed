#include "features/operations.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <random>

#include "features/bucketize.h"
#include "features/expression.h"

namespace recserve {

double great_circle_km(double longitude1, double latitude1, double longitude2, double latitude2) {
  constexpr double kEarthRadiusKm = 6371;
  constexpr double kRadians = std::numbers::pi / 180;
  // The haversine form: exact for points that lie close together, where the arc cosine of the other is not.
  double half_north = std::sin((latitude2 - latitude1) * kRadians / 2);
  double half_east = std::sin((longitude2 - longitude1) * kRadians / 2);
  double chord = half_north * half_north +
                 std::cos(latitude1 * kRadians) * std::cos(latitude2 * kRadians) * half_east * half_east;
  if (chord > 1) chord = 1;  // rounding, at points opposite to one another
  return 2 * kEarthRadiusKm * std::asin(std::sqrt(chord));
}

namespace {

// --- how a function of numbers runs over aligned operands --------------------------------------------------

template <auto f>
void each1(double* x, size_t, size_t, size_t length) {
  for (size_t i = 0; i < length; ++i) x[i] = f(x[i]);
}

template <auto f>
void each2(double* x, size_t stride, size_t, size_t length) {
  const double* y = x + stride;
  for (size_t i = 0; i < length; ++i) x[i] = f(x[i], y[i]);
}

template <auto f>
void each3(double* x, size_t stride, size_t, size_t length) {
  const double* y = x + stride;
  const double* z = y + stride;
  for (size_t i = 0; i < length; ++i) x[i] = f(x[i], y[i], z[i]);
}

template <auto f>
void each4(double* a, size_t stride, size_t, size_t length) {
  const double* b = a + stride;
  const double* c = b + stride;
  const double* d = c + stride;
  for (size_t i = 0; i < length; ++i) a[i] = f(a[i], b[i], c[i], d[i]);
}

/// Operands from the left to the right, two at a time.
template <auto f>
void fold(double* x, size_t stride, size_t count, size_t length) {
  for (size_t k = 1; k < count; ++k) {
    const double* y = x + k * stride;
    for (size_t i = 0; i < length; ++i) x[i] = f(x[i], y[i]);
  }
}

template <auto f>
void reduce1(double* x, size_t, size_t, size_t length) {
  x[0] = f(x, length);
}

template <auto f>
void reduce2(double* x, size_t stride, size_t, size_t length) {
  x[0] = f(x, x + stride, length);
}

// --- functions of numbers ----------------------------------------------------------------------------------

double plus(double x, double y) { return x + y; }
double times(double x, double y) { return x * y; }

double lesser(double x, double y) { return y < x ? y : x; }
double greater(double x, double y) { return x < y ? y : x; }

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Half away from zero at so many decimal places; negative places are left of the point.
double round_at(double x, double places) {
  if (std::isnan(places)) return places;
  places = std::trunc(places);
  double power = std::pow(10, std::fabs(places));
  if (places < 0) {
    double units = std::round(x / power);
    return units == 0 ? units : units * power;
  }
  double units = x * power;
  return std::isfinite(units) ? std::round(units) / power : x;  // too many places: nothing to round
}

/// From 0 on, as the sum of a vector: the sum of -0.0 and -0.0 is 0.0.
void sum(double* x, size_t stride, size_t count, size_t length) {
  for (size_t i = 0; i < length; ++i) x[i] += 0.0;
  fold<plus>(x, stride, count, length);
}

void average(double* x, size_t stride, size_t count, size_t length) {
  sum(x, stride, count, length);
  for (size_t i = 0; i < length; ++i) x[i] /= static_cast<double>(count);
}

/// A number from 0 inclusive to 1 exclusive.
void random_number(double* x, size_t, size_t, size_t) {
  thread_local std::mt19937_64 generator{(uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
  x[0] = static_cast<double>(generator() >> 11) * 0x1p-53;
}

// --- functions of vectors: every sum goes from the left to the right
// -----------------------------------------

template <auto f>
double accumulate(const double* x, size_t length, double start) {
  for (size_t i = 0; i < length; ++i) start = f(start, x[i]);
  return start;
}

/// NaN for an empty vector.
template <auto f>
double extreme(const double* x, size_t length) {
  if (length == 0) return std::numeric_limits<double>::quiet_NaN();
  return accumulate<f>(x + 1, length - 1, x[0]);
}

double total(const double* x, size_t length) { return accumulate<plus>(x, length, 0); }
double product(const double* x, size_t length) { return accumulate<times>(x, length, 1); }
double mean(const double* x, size_t length) { return total(x, length) / static_cast<double>(length); }

double dot(const double* x, const double* y, size_t length) {
  double sum = 0;
  for (size_t i = 0; i < length; ++i) sum += x[i] * y[i];
  return sum;
}

double squares(const double* x, size_t length) { return dot(x, x, length); }

/// Sum over the entries of the product of both distances from the mean.
double covariation(const double* x, const double* y, size_t length) {
  double mean_x = mean(x, length);
  double mean_y = mean(y, length);
  double sum = 0;
  for (size_t i = 0; i < length; ++i) sum += (x[i] - mean_x) * (y[i] - mean_y);
  return sum;
}

double variance(const double* x, size_t length) {
  return covariation(x, x, length) / static_cast<double>(length);
}

/// The names are the documentation's, the divisor n - 1 too.
double pop_variance(const double* x, size_t length) {
  return covariation(x, x, length) / (static_cast<double>(length) - 1);
}

double distance(const double* x, const double* y, size_t length) {
  double sum = 0;
  for (size_t i = 0; i < length; ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return std::sqrt(sum);
}

double correlation(const double* x, const double* y, size_t length) {
  double spread = std::sqrt(covariation(x, x, length)) * std::sqrt(covariation(y, y, length));
  return covariation(x, y, length) / spread;
}

// --- the tables --------------------------------------------------------------------------------------------

double bits(int64_t x) { return static_cast<double>(x); }

constexpr BinaryOperator kOperators[] = {
    // Two characters before one: the first that fits is taken.
    {1, {"||", 2, each2<[](double x, double y) -> double { return x != 0 || y != 0; }>}},
    {2, {"&&", 2, each2<[](double x, double y) -> double { return x != 0 && y != 0; }>}},
    {5, {"<=", 2, each2<[](double x, double y) -> double { return x <= y; }>}},
    {5, {">=", 2, each2<[](double x, double y) -> double { return x >= y; }>}},
    {5, {"!=", 2, each2<[](double x, double y) -> double { return x != y; }>}},
    {5, {"==", 2, each2<[](double x, double y) -> double { return x == y; }>}},
    {5, {"<", 2, each2<[](double x, double y) -> double { return x < y; }>}},
    {5, {">", 2, each2<[](double x, double y) -> double { return (x > y); }>}},
    {3, {"|", 2, each2<[](double x, double y) { return bits(truncated(x) | truncated(y)); }>}},
    {4, {"&", 2, each2<[](double x, double y) { return bits(truncated(x) & truncated(y)); }>}},
    {6, {"+", 2, each2<plus>}},
    {6, {"-", 2, each2<[](double x, double y) { return x - y; }>}},
    {7, {"*", 2, each2<times>}},
    {7, {"/", 2, each2<[](double x, double y) { return x / y; }>}},
};

constexpr Operation kFunctions[] = {
    {"abs", 1, each1<[](double x) { return std::fabs(x); }>},
    {"acos", 1, each1<[](double x) { return std::acos(x); }>},
    {"acosh", 1, each1<[](double x) { return std::acosh(x); }>},
    {"asin", 1, each1<[](double x) { return std::asin(x); }>},
    {"asinh", 1, each1<[](double x) { return std::asinh(x); }>},
    {"atan", 1, each1<[](double x) { return std::atan(x); }>},
    {"atanh", 1, each1<[](double x) { return std::atanh(x); }>},
    {"avg", Operation::kAny, average},
    {"ceil", 1, each1<[](double x) { return std::ceil(x); }>},
    {"corr", 2, reduce2<correlation>, true},
    {"cos", 1, each1<[](double x) { return std::cos(x); }>},
    {"cosh", 1, each1<[](double x) { return std::cosh(x); }>},
    {"dot", 2, reduce2<dot>, true},
    {"euclid_dist", 2, reduce2<distance>, true},
    {"exp", 1, each1<[](double x) { return std::exp(x); }>},
    {"floor", 1, each1<[](double x) { return std::floor(x); }>},
    {"haversine", 4, each4<great_circle_km>},
    {"isnan", 1, each1<[](double x) -> double { return std::isnan(x); }>},
    {"l2_norm", 1, reduce1<[](const double* x, size_t n) { return std::sqrt(squares(x, n)); }>, true},
    {"len", 1, reduce1<[](const double*, size_t n) { return static_cast<double>(n); }>, true},
    {"ln", 1, each1<[](double x) { return std::log(x); }>},
    {"log", 1, each1<[](double x) { return std::log(x); }>},
    {"log10", 1, each1<[](double x) { return std::log10(x); }>},
    {"log2", 1, each1<[](double x) { return std::log2(x); }>},
    {"max", Operation::kAny, fold<greater>},
    {"min", Operation::kAny, fold<lesser>},
    {"mod", 2, each2<[](double x, double y) { return std::fmod(x, y); }>},
    {"pop_std_dev", 1, reduce1<[](const double* x, size_t n) { return std::sqrt(pop_variance(x, n)); }>,
     true},
    {"pop_variance", 1, reduce1<pop_variance>, true},
    {"reduce_max", 1, reduce1<extreme<greater>>, true},
    {"reduce_mean", 1, reduce1<mean>, true},
    {"reduce_min", 1, reduce1<extreme<lesser>>, true},
    {"reduce_prod", 1, reduce1<product>, true},
    {"reduce_sum", 1, reduce1<total>, true},
    {"rint", 1, each1<[](double x) { return std::floor(x + 0.5); }>},
    {"rnd", 0, random_number, false, true},
    {"round", 1, each1<[](double x) { return std::round(x); }>},
    {"roundp", 2, each2<round_at>},
    {"sigmoid", 1, each1<sigmoid>},
    {"sign", 1, each1<sign>},
    {"sin", 1, each1<[](double x) { return std::sin(x); }>},
    {"sinh", 1, each1<[](double x) { return std::sinh(x); }>},
    {"sphere_dist", 4, each4<great_circle_km>},
    {"sqrt", 1, each1<[](double x) { return std::sqrt(x); }>},
    {"squared_norm", 1, reduce1<squares>, true},
    {"std_dev", 1, reduce1<[](const double* x, size_t n) { return std::sqrt(variance(x, n)); }>, true},
    {"sum", Operation::kAny, sum},
    {"tan", 1, each1<[](double x) { return std::tan(x); }>},
    {"tanh", 1, each1<[](double x) { return std::tanh(x); }>},
    {"trunc", 1, each1<[](double x) { return std::trunc(x); }>},
    {"variance", 1, reduce1<variance>, true},
};

}  // namespace

const Operation kNegate{"-", 1, each1<[](double x) { return -x; }>};
const Operation kPower{"^", 2, each2<[](double x, double y) { return std::pow(x, y); }>};
const Operation kSelect{
    "?:", 3, each3<[](double condition, double yes, double no) { return condition != 0 ? yes : no; }>};

const BinaryOperator* find_operator(std::string_view text) {
  for (const BinaryOperator& known : kOperators) {
    if (text.starts_with(known.operation.name)) return &known;
  }
  return nullptr;
}

const Operation* find_function(std::string_view name) {
  for (const Operation& known : kFunctions) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

std::string function_names() {
  std::string names;
  for (const Operation& known : kFunctions) {
    if (!names.empty()) names += ", ";
    names += known.name;
  }
  return names;
}

}  // namespace recserve
