#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "bind/byte_of.h"
#include "bind/free_interpreter.h"
#include "columns/error.h"
#include "features/plan.h"

using namespace recserve;

namespace {

ColumnPtr text_constant(const std::string& text) { return column_of(std::vector<std::string_view>{text}); }

ColumnPtr null_of(const std::string& type) {
  for (Type known : {Type::Int32, Type::Int64, Type::Float32, Type::Float64, Type::String}) {
    if (type == name_of(known)) return missing_column(1, known);
  }
  // An absent list, map or nested column has no values: how it is laid out makes no difference.
  return missing_column(1, Type::String, Shape::List);
}

std::shared_ptr<const Rules> make_rules(bool discrete, Rules::ValueType value_type, int64_t limit,
                                        int64_t width, bool weighted, const std::string& prefix,
                                        const std::string& default_value, int64_t default_count,
                                        const std::string& separator, const std::string& normalizer,
                                        const Bucketizer& bucketizer) {
  auto rules = std::make_shared<Rules>();
  rules->discrete = discrete;
  rules->value_type = value_type;
  rules->limit = limit;
  rules->width = width;
  rules->weighted = weighted;
  rules->prefix = prefix;
  rules->default_value = default_value;
  rules->default_count = default_count;
  rules->separator = byte_of(separator);
  rules->normalizer = Normalizer::parse(normalizer);
  rules->bucketizer = bucketizer;
  rules->prepare();
  return rules;
}

std::shared_ptr<const Rules> without_bucketizer(const Rules& rules) {
  auto bare = std::make_shared<Rules>(rules);
  bare->before_bucketizer = true;
  return bare;
}

void bind_rules(nb::module_& core) {
  nb::class_<Rules>(core, "Rules", "What happens to a result between the operator and the column.")
      .def_static("make", &make_rules, nb::kw_only(), nb::arg("discrete"), nb::arg("value_type"),
                  nb::arg("limit"), nb::arg("width"), nb::arg("weighted"), nb::arg("prefix"),
                  nb::arg("default_value"), nb::arg("default_count"), nb::arg("separator"),
                  nb::arg("normalizer"), nb::arg("bucketizer"))
      .def("without_bucketizer", &without_bucketizer,
           "The same rows, of the texts or numbers that the bucketizer would read.")
      .def_prop_ro("single", &Rules::single, "At most one id in a row.")
      .def_prop_ro("sparse", &Rules::sparse)
      .def_prop_ro(
          "size", [](const Rules& r) { return r.bucketizer.size(); }, "Ids are below it; 0 = unknown.");
}

void bind_steps(nb::module_& core) {
  nb::enum_<Side>(core, "Side", "Where a cell comes from.")
      .value("USER", Side::User)
      .value("CONTEXT", Side::Context)
      .value("ITEM", Side::Item)
      .value("GROUP", Side::Group)
      .value("CONST", Side::Const)
      .value("FEATURE", Side::Feature);

  nb::class_<Input>(core, "StepInput", "One input of a step.")
      .def(
          "__init__",
          [](Input* self, Side side, const std::string& name, const std::string& joined, int32_t producer,
             int32_t group, bool sequence, const std::string& absent_type) {
            new (self) Input{side,
                             name,
                             joined,
                             producer,
                             group,
                             sequence,
                             side == Side::Const ? text_constant(name) : null_of(absent_type)};
          },
          nb::kw_only(), nb::arg("side"), nb::arg("name"), nb::arg("joined") = "", nb::arg("producer") = -1,
          nb::arg("group") = -1, nb::arg("sequence") = false, nb::arg("absent_type") = "string");

  nb::class_<Step>(core, "Step", "One feature of a plan.")
      .def(
          "__init__",
          [](Step* self, const std::string& name, std::shared_ptr<const Kernel> kernel,
             std::shared_ptr<const Rules> rules, const std::vector<Input>& inputs,
             const std::optional<std::string>& delimiter, int64_t length, bool broadcast,
             const std::string& finished, int32_t element, bool constant, bool every_row) {
            new (self) Step{name,
                            std::move(kernel),
                            std::move(rules),
                            inputs,
                            delimiter.has_value(),
                            {delimiter.value_or(";"), length},
                            broadcast,
                            finished,
                            element,
                            constant,
                            every_row};
          },
          nb::kw_only(), nb::arg("name"), nb::arg("kernel"), nb::arg("rules"), nb::arg("inputs"),
          nb::arg("delimiter") = nb::none(), nb::arg("length") = 0, nb::arg("broadcast") = false,
          nb::arg("finished") = "", nb::arg("element") = -1, nb::arg("constant") = false,
          nb::arg("every_row") = false);

  nb::class_<Output> output(core, "Output", "The tensors of one output feature.");
  nb::enum_<Output::Kind>(output, "Kind")
      .value("DENSE", Output::Kind::Dense)
      .value("SPARSE", Output::Kind::Sparse)
      .value("SEQUENCE_DENSE", Output::Kind::SequenceDense)
      .value("SEQUENCE_SPARSE", Output::Kind::SequenceSparse);
  output.def(
      "__init__",
      [](Output* self, const std::string& name, Output::Kind kind, int64_t width, bool weighted, bool keyed,
         bool once, int32_t beside) { new (self) Output{name, kind, width, weighted, keyed, once, beside}; },
      nb::kw_only(), nb::arg("name"), nb::arg("kind"), nb::arg("width"), nb::arg("weighted"),
      nb::arg("keyed"), nb::arg("once"), nb::arg("beside") = -1);
}

/// By group: the raw and finished rows of the items in the user's list.
using ClickedBatches = std::vector<std::optional<std::pair<const Batch*, const Batch*>>>;

Sources sources_of(const Batch& user, const Batch& context, const Batch& raw, const Batch& finished,
                   const ClickedBatches& clicked, int64_t rows) {
  std::vector<Clicked> groups;
  for (const auto& pair : clicked) groups.push_back(pair ? Clicked{pair->first, pair->second} : Clicked{});
  return {&user, &context, &raw, &finished, std::move(groups), nullptr, rows};
}

std::pair<Batch, std::vector<std::pair<int64_t, nb::bytes>>> columns_and_failures(
    const FeaturePlan& plan, const Batch& joined, const std::vector<int32_t>& steps) {
  Failures failures;
  Batch columns;
  {
    const FreeInterpreter free(true);
    columns = plan.columns_joined(joined, steps, false, &failures);
  }
  std::vector<std::pair<int64_t, nb::bytes>> rows;
  for (const auto& [row, message] : failures) {
    rows.emplace_back(row, nb::bytes(message.data(), message.size()));
  }
  return {std::move(columns), std::move(rows)};
}

void bind_plan(nb::module_& core) {
  nb::class_<PlanFinisher, RowFinisher>(core, "PlanFinisher");

  nb::class_<FeaturePlan>(core, "FeaturePlan", "Features in order, each generated at its own rate.")
      .def(nb::init<std::vector<Step>, std::vector<Output>, std::vector<int32_t>, bool>(), nb::arg("steps"),
           nb::arg("outputs"), nb::arg("output_steps"), nb::arg("tile"))
      .def(
          "generate",
          [](const FeaturePlan& plan, const Batch& user, const Batch& context, const Batch& raw,
             const Batch& finished, const ClickedBatches& clicked, int64_t rows, bool shared) {
            const FreeInterpreter free(rows >= kManyRowsToGenerate);
            return plan.generate(sources_of(user, context, raw, finished, clicked, rows), shared);
          },
          nb::arg("user"), nb::arg("context"), nb::arg("raw"), nb::arg("finished"), nb::arg("clicked"),
          nb::arg("rows"), nb::arg("shared") = false)
      .def("generate_joined", &FeaturePlan::generate_joined, nb::arg("joined"), nb::arg("strict"),
           nb::call_guard<nb::gil_scoped_release>())
      .def(
          "columns",
          [](const FeaturePlan& plan, const Batch& user, const Batch& context, const Batch& raw,
             const Batch& finished, const ClickedBatches& clicked, int64_t rows,
             const std::vector<int32_t>& steps) {
            const FreeInterpreter free(rows >= kManyRowsToGenerate);
            return plan.columns(sources_of(user, context, raw, finished, clicked, rows), steps);
          },
          nb::arg("user"), nb::arg("context"), nb::arg("raw"), nb::arg("finished"), nb::arg("clicked"),
          nb::arg("rows"), nb::arg("steps"))
      .def(
          "columns_joined",
          [](const FeaturePlan& plan, const Batch& joined, const std::vector<int32_t>& steps, bool strict) {
            return plan.columns_joined(joined, steps, strict);
          },
          nb::arg("joined"), nb::arg("steps"), nb::arg("strict"), nb::call_guard<nb::gil_scoped_release>())
      .def(
          "time_steps",
          [](const FeaturePlan& plan, const Batch& user, const Batch& context, const Batch& raw,
             const Batch& finished, const ClickedBatches& clicked, int64_t rows,
             const std::vector<int32_t>& steps) {
            return plan.time_steps(sources_of(user, context, raw, finished, clicked, rows), steps);
          },
          nb::arg("user"), nb::arg("context"), nb::arg("raw"), nb::arg("finished"), nb::arg("clicked"),
          nb::arg("rows"), nb::arg("steps"), nb::call_guard<nb::gil_scoped_release>())
      .def("columns_and_failures", &columns_and_failures, nb::arg("joined"), nb::arg("steps"),
           "The columns, and for each row with an unreadable cell a message, which may hold any bytes.")
      .def("finish", &FeaturePlan::finish, nb::arg("raw"), nb::call_guard<nb::gil_scoped_release>())
      .def("finisher",
           [](std::shared_ptr<const FeaturePlan> plan) {
             return std::make_shared<PlanFinisher>(std::move(plan));
           })
      .def_prop_ro(
          "problems",
          [](const FeaturePlan& plan) {
            std::vector<std::tuple<std::string, std::string, int64_t>> found;
            for (const StepProblems& p : plan.problems()) {
              found.emplace_back(p.step, kProblemNames[static_cast<size_t>(p.problem)], p.count);
            }
            return found;
          },
          "Step, kind, count: what was answered as missing, without the zeros.")
      .def_prop_ro("int_names", [](const FeaturePlan& p) { return p.assembly().names().ints; })
      .def_prop_ro("float_names", [](const FeaturePlan& p) { return p.assembly().names().floats; })
      .def_prop_ro("float_widths", [](const FeaturePlan& p) { return p.assembly().names().float_widths; });
}

}  // namespace

void bind_features(nb::module_& core) {
  bind_feature_types(core);
  bind_python_step(core);
  bind_rules(core);
  bind_steps(core);
  bind_plan(core);
}
