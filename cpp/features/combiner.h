// How several numbers become one: `combiner` of lookup_feature and combine_feature
// (docs/reference/features.md).
#pragma once

#include <string>
#include <vector>

namespace recserve {

enum class Combiner { None, Sum, Mean, Min, Max, Count, GapMin, GapMax };

/// `name`: "" (None), sum, mean, avg, min, max, count, gap_min, gap_max; ConfigError for any other.
Combiner combiner_of(const std::string& name);

/// The one number that they come to, in doubles; `found` has at least one, and is sorted for the gaps between
/// neighbours. None: their sum.
double combine(Combiner combiner, std::vector<double>& found);

}  // namespace recserve
