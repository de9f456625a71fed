// Columns of every shape and type, drawn from a fuzzer's bytes.
#pragma once

#include <string>

#include "columns/column.h"
#include "tests/drawn_bytes.h"

namespace recserve::testing {

/// A text as features read them: words, numbers, pairs, nested maps, several of them, and raw bytes.
std::string draw_text(Bytes& bytes);

/// A number: small, at the ends of its type, or any bits.
template <class T>
T draw_number(Bytes& bytes);

/// `rows` rows, some of them null or empty.
ColumnPtr draw_column(Bytes& bytes, int64_t rows);

/// Whether row `i` of `a` and row `j` of `b` hold the same, bit for bit but for the bits of NaN.
bool same_row(const Column& a, int64_t i, const Column& b, int64_t j);

}  // namespace recserve::testing
