// A config and data of features, drawn from a fuzzer's bytes and computed in every way that there is.
#pragma once

#include <cstdint>
#include <span>

namespace recserve::testing {

/// Builds a plan of a few features of every native type over a table of items, a user and a request; then
/// computes it joined, row by row, and in the stages of a request, with items finished beforehand. Aborts,
/// having printed the features, where two of them differ in any bit. What is refused by an error of ours is
/// no case.
///
///   bytes ──▶ columns ──▶ steps ──▶ plan ──▶ joined = row by row = staged
void check_features(std::span<const uint8_t> bytes);

}  // namespace recserve::testing
