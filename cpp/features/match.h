// match_feature: a value out of a user's nested map, at an outer and an inner key
// (docs/reference/features.md).
#pragma once

#include <string>

#include "features/kernel.h"

namespace recserve {

/// Inputs: the nested map, then the outer key (`category`) and the inner key (`item`), where they are inputs:
/// one configured as ALL reads nothing. With `multihit` it stands for every key, else for the key "ALL".
///
///   k1^a:1,b:2|k2^a:3     outer k1,  inner b     2
///                         outer ALL, inner a     1 3   (multihit: in the order of the map)
///
/// The map is text, an array of such texts, or a native map from outer key to "a:1,b:2". `|` and `,` part
/// pairs, the first `^` and the first `:` of a pair end its key; a pair without it is ignored, and of a
/// repeated key the last counts. Several tokens in a key cell: all combinations in order.
///
/// Discrete: the token is feature name, outer key, inner key and value, as far as they are shown, joined by
/// _.
class MatchKernel : public Kernel {
 public:
  struct Options {
    char separator = kValueSeparator;
    bool discrete = true;
    bool category_all = false;  // no outer key among the inputs
    bool item_all = false;      // no inner key among the inputs
    bool multihit = false;      // ALL: every key
    bool show_category = false;
    bool show_item = false;
    std::string prefix;  // feature name and _, or nothing
  };

  explicit MatchKernel(Options options) : options_(std::move(options)) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

 private:
  Options options_;
};

}  // namespace recserve
