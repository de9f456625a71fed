// The plain cases of the commonest features, a whole column at a time: what a kernel's loop over rows gives,
// bit for bit, several times faster. A kernel asks here first and loops over its rows where the answer is no.
//
//   id_feature     a text or an integer in each row, or a list of texts; any bucketizer that takes them all
//                  as a sequence: texts to be cut into elements, or lists of texts
//   combo_feature  texts, integers and lists of texts; hash or vocabulary
//   lookup_feature one text as key in each row, asked of a map of numbers
//   raw_feature    a number in each row; float32, with or without a bucketizer
//   expr_feature   the same, computed
//
// Not plain: weights, texts to be cut, numbers in texts, other value_types, more values than one.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "features/cells.h"
#include "features/rules.h"
#include "features/sequence.h"

namespace recserve {

/// The tokens of one input as ids.
std::optional<Column> plain_ids(const Rules& rules, const Cells& cells, int64_t rows, char separator);

/// The elements of a sequence, a token each, as ids; the result is that of the whole feature.
std::optional<Column> plain_sequence_ids(const Rules& rules, const Column& column, const SequenceRule& cut,
                                         char separator);

/// Every combination of the tokens of all inputs of a row, joined by _, as an id.
std::optional<Column> plain_combos(const Rules& rules, std::span<const Cells> inputs, int64_t rows,
                                   char separator);

/// The numbers of one input. `null_is_zero`: a missing row is 0.0, which no normalizer sees.
std::optional<Column> plain_numbers(const Rules& rules, const Cells& cells, int64_t rows, bool null_is_zero);

/// Every row has one text at most: none is cut at a separator.
bool has_whole_texts(const Cells& cells, char separator);

/// The rows in which an input is missing.
std::vector<int64_t> missing_rows(std::span<const Cells> inputs, int64_t rows);

/// Results of these rules may go through `column_of_numbers`.
bool takes_plain_numbers(const Rules& rules);

/// One number in each row but the `missing` ones, through bucketizer and default; no normalizer any more.
Column column_of_numbers(const Rules& rules, std::vector<float> numbers, std::span<const int64_t> missing);

}  // namespace recserve
