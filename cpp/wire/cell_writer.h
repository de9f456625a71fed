// Cells as clients send them: the inverse of feature.h.
#pragma once

#include "wire/feature.h"

namespace recserve::wire {

/// Writes row `row` of `column` as field `field` of the message in work: a PBFeature with the member of the
/// column's type; a missing row is an empty string_feature, as every client package sends it.
void write_cell(Writer& writer, uint32_t field, const Column& column, int64_t row);

}  // namespace recserve::wire
