#include "tests/drawn_steps.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "features/bool_mask.h"
#include "features/combine.h"
#include "features/combo.h"
#include "features/edit_distance.h"
#include "features/expr.h"
#include "features/id.h"
#include "features/kv_dot_product.h"
#include "features/lookup.h"
#include "features/match.h"
#include "features/overlap.h"
#include "features/raw.h"
#include "features/slice.h"
#include "features/vocabulary.h"
#include "tests/drawn_columns.h"

namespace recserve::testing {

namespace {

using Rates = uint8_t;  // which of user and item a step changes with
constexpr Rates kUser = 1;
constexpr Rates kItem = 2;

/// What is being put together.
struct Draft {
  Bytes& bytes;
  bool sequence;
  char separator;
  Rules rules;
  std::vector<Input> inputs;
  std::string text;  // for people
};

char draw_separator(Bytes& bytes) { return bytes.one_of({'\x1d', '\x1d', '|', ',', ':'}); }

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) text += part;
  return text;
}

std::string draw_formula(Bytes& bytes, int depth) {
  static constexpr const char* kOperands[] = {"a", "b", "1", "0", "2.5", "_pi", "1e300"};
  static constexpr const char* kOperators[] = {"+",  "-",  "*",  "/", "^", "<",  "<=", ">",
                                               ">=", "==", "!=", "&", "|", "&&", "||"};
  static constexpr const char* kFunctions[] = {
      "sin",        "log",        "exp",        "sqrt",        "abs",        "round",
      "rint",       "floor",      "isnan",      "sign",        "sigmoid",    "trunc",
      "acosh",      "len",        "l2_norm",    "variance",    "std_dev",    "pop_variance",
      "reduce_min", "reduce_max", "reduce_sum", "reduce_mean", "reduce_prod"};
  static constexpr const char* kPairs[] = {"min",    "max", "sum",         "avg", "mod",
                                           "roundp", "dot", "euclid_dist", "corr"};
  if (depth == 0) return kOperands[bytes.below(std::size(kOperands))];
  const auto part = [&] { return draw_formula(bytes, depth - 1); };
  switch (bytes.below(8)) {
    case 0: return kOperands[bytes.below(std::size(kOperands))];
    case 1:
    case 2: return joined({"(", part(), kOperators[bytes.below(std::size(kOperators))], part(), ")"});
    case 3: return joined({"-", part()});
    case 4: return joined({kFunctions[bytes.below(std::size(kFunctions))], "(", part(), ")"});
    case 5: return joined({kPairs[bytes.below(std::size(kPairs))], "(", part(), ",", part(), ")"});
    case 6: return joined({"(", part(), "?", part(), ":", part(), ")"});
    default: return joined({"sphere_dist(", part(), ",1,2,b)"});
  }
}

std::string draw_expression(Bytes& bytes) { return bytes.one_in(8) ? bytes.raw(24) : draw_formula(bytes, 3); }

std::string draw_combiner(Bytes& bytes) {
  return bytes.one_of<const char*>({"sum", "mean", "min", "max", "count", "gap_min", "gap_max", "", "avg"});
}

void be_discrete(Draft& draft, bool weighted = false) {
  draft.rules.discrete = true;
  draft.rules.weighted = weighted;
}

/// A numeric result; `width` numbers in a row where it is not bucketized.
void be_numeric(Draft& draft) {
  static constexpr const char* kNormalizers[] = {"method=log10", "method=log10,threshold=0.1,default=-2",
                                                 "method=zscore,mean=0.1,standard_deviation=0.3",
                                                 "method=minmax,min=-1,max=7.3"};
  draft.rules.discrete = false;
  draft.rules.value_type =
      draft.bytes.one_of({Rules::ValueType::Float32, Rules::ValueType::Float64, Rules::ValueType::Int64});
  if (draft.bytes.one_in(4)) {
    std::string text = kNormalizers[draft.bytes.below(std::size(kNormalizers))];
    if (draft.bytes.one_in(8)) text = draft.bytes.raw(20);
    if (draft.bytes.one_in(4)) text = "method=expression,expr=" + draw_expression(draft.bytes);
    draft.text += " normalizer " + text;
    draft.rules.normalizer = Normalizer::parse(text);
  }
}

std::shared_ptr<const Kernel> draw_id(Draft& draft) {
  const bool weighted = !draft.sequence && draft.bytes.one_in(3);
  be_discrete(draft, weighted);
  return std::make_shared<IdKernel>(draft.separator, weighted);
}

std::shared_ptr<const Kernel> draw_raw(Draft& draft) {
  be_numeric(draft);
  const bool null_is_zero = !draft.sequence && draft.bytes.one_in(3);
  draft.rules.limit = draft.rules.width = draft.bytes.one_of({1, 1, 2, 3});
  return std::make_shared<RawKernel>(draft.separator, null_is_zero && draft.rules.width == 1);
}

std::shared_ptr<const Kernel> draw_combo(Draft& draft) {
  be_discrete(draft);
  return std::make_shared<ComboKernel>(draft.separator);
}

std::shared_ptr<const Kernel> draw_lookup(Draft& draft) {
  const bool discrete = draft.bytes.one_in(2);
  discrete ? be_discrete(draft) : be_numeric(draft);
  const bool need_key = draft.bytes.one_in(2);
  return std::make_shared<LookupKernel>(draft.separator, discrete, need_key,
                                        discrete ? "" : draw_combiner(draft.bytes));
}

std::shared_ptr<const Kernel> draw_match(Draft& draft) {
  MatchKernel::Options options;
  options.separator = draft.separator;
  options.discrete = draft.bytes.one_in(2);
  options.category_all = draft.bytes.one_in(4);
  options.item_all = draft.bytes.one_in(4);
  options.multihit = draft.bytes.one_in(2);
  options.show_category = draft.bytes.one_in(2);
  options.show_item = draft.bytes.one_in(2);
  options.prefix = draft.bytes.one_in(2) ? "f_" : "";
  options.discrete ? be_discrete(draft) : be_numeric(draft);
  draft.inputs.resize(3 - (options.category_all ? 1 : 0) - (options.item_all ? 1 : 0), draft.inputs.front());
  return std::make_shared<MatchKernel>(options);
}

std::shared_ptr<const Kernel> draw_expr(Draft& draft) {
  be_numeric(draft);
  const std::string formula = draw_expression(draft.bytes);
  draft.text += " " + formula;
  const double fill = draft.bytes.one_in(2) ? 0.5 : std::numeric_limits<double>::quiet_NaN();
  return std::make_shared<ExprKernel>(Expression::parse(formula, {"a", "b"}), draft.separator, fill);
}

std::shared_ptr<const Kernel> draw_overlap(Draft& draft) {
  be_numeric(draft);
  const char* method = draft.bytes.one_of<const char*>(
      {"query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "index_of",
       "proximity_min_cover", "proximity_min_dist", "proximity_max_dist", "proximity_avg_dist"});
  draft.text += std::string(" ") + method;
  return std::make_shared<OverlapKernel>(draft.separator, method);
}

std::shared_ptr<const Kernel> draw_kv_dot_product(Draft& draft) {
  be_numeric(draft);
  return std::make_shared<KvDotProductKernel>(draft.separator, draft.bytes.one_of({':', ':', '='}));
}

std::shared_ptr<const Kernel> draw_bool_mask(Draft& draft) {
  be_discrete(draft);
  return std::make_shared<BoolMaskKernel>(draft.separator, draft.sequence);
}

std::shared_ptr<const Kernel> draw_combine(Draft& draft) {
  be_numeric(draft);
  std::optional<CombineKernel::ValueMap> table;
  if (draft.bytes.one_in(2)) {
    table.emplace();
    for (size_t i = draft.bytes.below(5); i > 0; --i) {
      table->emplace_back(draw_text(draft.bytes), draw_number<double>(draft.bytes));
    }
  }
  return std::make_shared<CombineKernel>(draft.separator, std::move(table), draw_combiner(draft.bytes));
}

std::shared_ptr<const Kernel> draw_slice(Draft& draft) {
  be_discrete(draft);
  const auto place = [&] { return draw_number<int64_t>(draft.bytes); };
  const int64_t start = place();
  std::optional<int64_t> end;
  if (draft.bytes.one_in(2)) end = place();
  const int64_t step = std::max<int64_t>(1, place());
  return std::make_shared<SliceKernel>(draft.separator, start, end, step);
}

std::shared_ptr<const Kernel> draw_edit_distance(Draft& draft) {
  be_numeric(draft);
  return std::make_shared<EditDistanceKernel>(draft.bytes.one_in(2));
}

struct FeatureType {
  const char* name;
  size_t inputs;
  std::shared_ptr<const Kernel> (*draw)(Draft&);
};
constexpr FeatureType kTypes[] = {{"id", 1, draw_id},
                                  {"raw", 1, draw_raw},
                                  {"combo", 2, draw_combo},
                                  {"lookup", 2, draw_lookup},
                                  {"match", 3, draw_match},
                                  {"expr", 2, draw_expr},
                                  {"overlap", 2, draw_overlap},
                                  {"kv_dot_product", 2, draw_kv_dot_product},
                                  {"bool_mask", 2, draw_bool_mask},
                                  {"combine", 1, draw_combine},
                                  {"slice", 1, draw_slice},
                                  {"edit_distance", 2, draw_edit_distance}};

/// A few words with their indices, or a file of them.
std::shared_ptr<const Vocabulary> draw_vocabulary(Bytes& bytes) {
  std::vector<std::string> words;
  std::vector<int64_t> indices;
  std::string file;
  for (size_t i = bytes.below(6); i > 0; --i) {
    words.push_back(draw_text(bytes));
    indices.push_back(static_cast<int64_t>(bytes.below(20)));
    file += words.back() + bytes.one_of<const char*>({"\n", "\r\n", " 7\n", "\t3\n", " x\n"});
  }
  return bytes.one_in(3) ? Vocabulary::parse(file + bytes.raw(8)) : Vocabulary::of(words, indices);
}

/// Bucketizer, default, limit and prefix; texts stay texts without a bucketizer.
void draw_rules(Draft& draft) {
  Bytes& bytes = draft.bytes;
  Rules& rules = draft.rules;
  switch (bytes.below(6)) {
    case 0:
    case 1:
      rules.bucketizer =
          Bucketizer::hash(bytes.one_of<uint64_t>({1, 10, 1000003, INT64_MAX}), bytes.one_in(2));
      break;
    case 2: rules.bucketizer = Bucketizer::num_buckets(bytes.one_of<int64_t>({1, 10, INT64_MAX})); break;
    case 3:
      rules.bucketizer = Bucketizer::vocab(draw_vocabulary(bytes), static_cast<int64_t>(bytes.below(5)));
      break;
    case 4: rules.bucketizer = Bucketizer::boundaries({-1, 0.1F, 3}); break;
    default: break;
  }
  rules.separator = draft.separator;
  if (rules.limit == 0) rules.limit = bytes.one_of({0, 0, 1, 2});
  if (rules.sparse())
    rules.width = 0;
  else
    rules.width = rules.limit = std::max<int64_t>(1, rules.limit);
  if (draft.sequence || bytes.one_in(2)) rules.default_value = bytes.one_in(4) ? draw_text(bytes) : "1";
  if (draft.sequence && rules.default_value.empty()) rules.default_value = "0";
  rules.default_count = rules.limit;
  if (rules.discrete && bytes.one_in(4)) rules.prefix = "f_";
  rules.prepare();
}

class Drawing {
 public:
  Drawing(Bytes& bytes, const std::vector<Source>& sources) : bytes_(bytes), sources_(sources) {}

  Drawn draw() {
    const size_t count = 1 + bytes_.below(5);
    for (size_t i = 0; i < count; ++i) draw_step(i);
    // Element steps stand behind all others, whose places others refer to.
    for (size_t k = 0; k < elements_.size(); ++k) {
      drawn_.steps[waiting_[k]].element = static_cast<int32_t>(drawn_.steps.size());
      drawn_.steps.push_back(std::move(elements_[k]));
    }
    return std::move(drawn_);
  }

 private:
  void draw_step(size_t at) {
    const FeatureType& type = kTypes[bytes_.below(std::size(kTypes))];
    const bool sequence = bytes_.one_in(3);
    Step step;
    step.name = "f" + std::to_string(at);
    step.sequence = sequence;
    if (sequence) {
      step.cut = {bytes_.one_of<const char*>({";", ";", "#", "<>"}), bytes_.one_of<int64_t>({0, 0, 1, 3})};
      step.broadcast = bytes_.one_in(6);
    }
    Draft draft{bytes_, sequence, draw_separator(bytes_), {}, {}, step.name + " " + type.name};
    for (size_t k = 0; k < type.inputs; ++k) draft.inputs.push_back(draw_input(sequence, k == 0, at));
    step.kernel = type.draw(draft);
    if (step.kernel->random() || draft.rules.normalizer.uses_random()) throw ConfigError("rnd");
    draw_rules(draft);
    for (const Input& input : draft.inputs) draft.text += " <" + input.shown() + (input.sequence ? "[]" : "");
    step.rules = std::make_shared<const Rules>(std::move(draft.rules));
    step.inputs = std::move(draft.inputs);
    place(step, at);
    drawn_.texts.push_back(std::move(draft.text) + (step.finished.empty() ? "" : " finished"));
    drawn_.steps.push_back(std::move(step));
  }

  Input draw_input(bool sequence, bool first, size_t at) {
    Input input;
    input.sequence = sequence && (first || bytes_.one_in(2));
    if (at > 0 && bytes_.one_in(4)) return produced(input, static_cast<int32_t>(bytes_.below(at)), sequence);
    if (bytes_.one_in(10)) {
      input.side = Side::Const;
      input.name = draw_text(bytes_);
      input.constant = column_of(std::vector<std::string_view>{input.name});
      return input;
    }
    const Source& source = sources_[bytes_.below(sources_.size())];
    input.side = source.side;
    input.name = source.name;
    // The items of the user's list, in place of the candidate's.
    if (input.sequence && source.side == Side::Item && source.flat && bytes_.one_in(2)) {
      input.side = Side::Group;
      input.joined = "s__" + source.name;
      input.group = 0;
    }
    input.constant = missing_column(1);
    return input;
  }

  Input produced(Input input, int32_t producer, bool sequence) {
    input.side = Side::Feature;
    input.producer = producer;
    input.name = drawn_.steps[producer].name;
    input.sequence = sequence && drawn_.steps[producer].sequence;
    return input;
  }

  /// Finds the rate, and what an item row holds of the step.
  void place(Step& step, size_t at) {
    Rates rates = 0;
    bool grouped = false;
    bool elements = step.sequence && !step.broadcast;
    for (const Input& input : step.inputs) {
      switch (input.side) {
        case Side::User: rates |= kUser; break;
        case Side::Item: rates |= kItem; break;
        case Side::Context: rates |= kUser | kItem; break;
        case Side::Group: rates |= kUser; break;
        case Side::Feature: rates |= rates_[input.producer]; break;
        case Side::Const: break;
      }
      grouped = grouped || input.side == Side::Group;
      elements = elements && (input.side == Side::Group || (input.side == Side::Const && !input.sequence));
    }
    rates_.push_back(rates);
    step.constant = rates == 0;
    if (rates == kItem) step.finished = "=" + step.name;
    if (!elements || !grouped || masks(step)) return;
    Step element;
    element.name = "=e" + step.name;
    element.kernel = step.kernel;
    element.rules = step.rules;
    element.inputs = step.inputs;
    for (Input& input : element.inputs) {
      input.sequence = false;
      if (input.side == Side::Group) input.side = Side::Item;
    }
    element.finished = element.name;
    elements_.push_back(std::move(element));
    waiting_.push_back(at);
  }

  static bool masks(const Step& step) {
    return dynamic_cast<const BoolMaskKernel*>(step.kernel.get()) != nullptr;
  }

  Bytes& bytes_;
  const std::vector<Source>& sources_;
  Drawn drawn_;
  std::vector<Rates> rates_;
  std::vector<Step> elements_;
  std::vector<size_t> waiting_;  // the sequences that elements_ are of
};

}  // namespace

Drawn draw_steps(Bytes& bytes, const std::vector<Source>& sources) { return Drawing(bytes, sources).draw(); }

Output output_of(const Step& step) {
  const Rules& rules = *step.rules;
  Output output;
  output.name = step.name;
  output.kind = step.sequence ? (rules.sparse() ? Output::Kind::SequenceSparse : Output::Kind::SequenceDense)
                              : (rules.sparse() ? Output::Kind::Sparse : Output::Kind::Dense);
  output.width = std::max<int64_t>(1, rules.width);
  output.weighted = rules.weighted;
  output.keyed = rules.limit != 1;
  return output;
}

}  // namespace recserve::testing
