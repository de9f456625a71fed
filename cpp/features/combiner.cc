#include "features/combiner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "columns/error.h"

namespace recserve {

double combine(Combiner combiner, std::vector<double>& found) {
  const double sum = std::accumulate(found.begin(), found.end(), 0.0);
  switch (combiner) {
    case Combiner::None:
    case Combiner::Sum: return sum;
    case Combiner::Mean: return sum / static_cast<double>(found.size());
    case Combiner::Min: return *std::min_element(found.begin(), found.end());
    case Combiner::Max: return *std::max_element(found.begin(), found.end());
    case Combiner::Count: return static_cast<double>(found.size());
    case Combiner::GapMin:
    case Combiner::GapMax: break;
  }
  if (found.size() < 2) return 0.0;
  // NaN goes last: it has no order of its own, and sort needs one.
  std::sort(found.begin(), found.end(),
            [](double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; });
  double least = found[1] - found[0];
  double most = least;
  for (size_t i = 2; i < found.size(); ++i) {
    least = std::min(least, found[i] - found[i - 1]);
    most = std::max(most, found[i] - found[i - 1]);
  }
  return combiner == Combiner::GapMin ? least : most;
}

Combiner combiner_of(const std::string& name) {
  static constexpr std::pair<const char*, Combiner> known[] = {
      {"", Combiner::None},       {"sum", Combiner::Sum},        {"mean", Combiner::Mean},
      {"avg", Combiner::Mean},    {"min", Combiner::Min},        {"max", Combiner::Max},
      {"count", Combiner::Count}, {"gap_min", Combiner::GapMin}, {"gap_max", Combiner::GapMax}};
  for (const auto& [text, combiner] : known) {
    if (name == text) return combiner;
  }
  throw ConfigError("combiner '" + name +
                    "' is not known; known: sum, mean, avg, min, max, count, gap_min, gap_max");
}

}  // namespace recserve
