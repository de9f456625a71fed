#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "features/bucketize.h"
#include "features/expression.h"
#include "features/hash.h"
#include "features/normalize.h"
#include "features/vocabulary.h"

using namespace recserve;

namespace {

/// Bytes may hold anything; text is hashed as its UTF-8 bytes.
std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

std::vector<double> evaluate(const Expression& expression, const std::vector<std::vector<double>>& variables,
                             double fill_missing) {
  std::vector<std::span<const double>> spans(variables.begin(), variables.end());
  std::vector<double> out;
  expression.evaluate(spans, fill_missing, out);
  return out;
}

nb::list words_of(const Vocabulary& vocabulary) {
  nb::list words;
  for (int64_t i = 0; i < vocabulary.size(); ++i) {
    words.append(nb::str(vocabulary.word(i).data(), vocabulary.word(i).size()));
  }
  return words;
}

std::vector<int64_t> indices_of(const Vocabulary& vocabulary) {
  std::vector<int64_t> indices(vocabulary.size());
  for (int64_t i = 0; i < vocabulary.size(); ++i) indices[i] = vocabulary.id(i);
  return indices;
}

void bind_vocabulary(nb::module_& core) {
  nb::class_<Vocabulary>(core, "Vocabulary", "Words and their ids; a value, shared by features.")
      .def_static("of", &Vocabulary::of, nb::arg("words"), nb::arg("indices"))
      .def_static(
          "parse", [](const nb::bytes& text) { return Vocabulary::parse(view(text)); }, nb::arg("text"),
          "Reads a vocab_file.")
      .def("find", &Vocabulary::find, nb::arg("word"))
      .def("__len__", &Vocabulary::size)
      .def(
          "__eq__", [](const Vocabulary& v, const Vocabulary& other) { return v == other; },
          nb::is_operator(), nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__hash__", &Vocabulary::digest)
      .def(
          "__getstate__",  // features are made in other processes, too
          [](const Vocabulary& v) { return std::make_pair(words_of(v), indices_of(v)); },
          nb::sig("def __getstate__(self) -> tuple[list[str], list[int]]"))
      .def("__setstate__",
           [](Vocabulary& v, const std::pair<std::vector<std::string>, std::vector<int64_t>>& state) {
             new (&v) Vocabulary(*Vocabulary::of(state.first, state.second));
           })
      .def_prop_ro("least", &Vocabulary::least, "Of all ids.")
      .def_prop_ro("words", &words_of, nb::sig("def words(self) -> list[str]"),
                   "In the order of their first appearance.")
      .def_prop_ro("indices", &indices_of, "The id of each word.");
}

void bind_bucketizer(nb::module_& core) {
  nb::class_<Bucketizer> bucketizer(core, "Bucketizer", "From a token or a number to the id of its bucket.");
  nb::enum_<Bucketizer::Kind>(bucketizer, "Kind")
      .value("NONE", Bucketizer::Kind::None)
      .value("HASH", Bucketizer::Kind::Hash)
      .value("NUM_BUCKETS", Bucketizer::Kind::NumBuckets)
      .value("VOCAB", Bucketizer::Kind::Vocab)
      .value("BOUNDARIES", Bucketizer::Kind::Boundaries);
  nb::enum_<Bucketizer::ValueType>(bucketizer, "ValueType", "What a result is before it is bucketized.")
      .value("FLOAT32", Bucketizer::ValueType::Float32)
      .value("FLOAT64", Bucketizer::ValueType::Float64)
      .value("INT64", Bucketizer::ValueType::Int64);
  bucketizer.def(nb::init<>())
      .def_static("hash", &Bucketizer::hash, nb::arg("buckets"), nb::arg("farm") = false)
      .def_static("num_buckets", &Bucketizer::num_buckets, nb::arg("buckets"))
      .def_static("vocab", &Bucketizer::vocab, nb::arg("vocabulary"), nb::arg("default_index") = 0)
      .def_static("boundaries", &Bucketizer::boundaries, nb::arg("boundaries"))
      .def("text", &Bucketizer::text, nb::arg("token"),
           "The id; None where a number is needed and is not there.")
      .def("integer", &Bucketizer::integer, nb::arg("token"), "The id of an integer token, as its decimal.")
      .def("number", &Bucketizer::number, nb::arg("value"), "The id of a float32 result.")
      .def("number64", &Bucketizer::number64, nb::arg("value"), "The id of a double result.")
      .def("number_integer", &Bucketizer::number_integer, nb::arg("value"), "The id of an integer result.")
      .def("result", &Bucketizer::result, nb::arg("value"), nb::arg("value_type"),
           "Converts a result to its value_type and gives the id of that.")
      .def_prop_ro("kind", &Bucketizer::kind)
      .def_prop_ro("size", &Bucketizer::size, "Every id is below it; 0 = unknown.");
}

void bind_normalizer(nb::module_& core) {
  nb::class_<Normalizer>(core, "Normalizer", "log10, zscore, minmax or a formula over x.")
      .def_static("parse", &Normalizer::parse, nb::arg("config"))
      .def("number", &Normalizer::number, nb::arg("x"), "A numeric input: float32 arithmetic.")
      .def("text", &Normalizer::text, nb::arg("x"), "A number parsed from text: double arithmetic.")
      .def_prop_ro("none", &Normalizer::none)
      .def_prop_ro("uses_random", &Normalizer::uses_random);
}

void bind_expression(nb::module_& core) {
  nb::class_<Expression>(core, "Expression", "A formula of the expression language.")
      .def_static("parse", &Expression::parse, nb::arg("formula"), nb::arg("variables"))
      .def(
          "scalar",
          [](const Expression& e, const std::vector<double>& variables) { return e.scalar(variables); },
          nb::arg("variables"), "The result where every variable is one number.")
      .def("evaluate", &evaluate, nb::arg("variables"), nb::arg("fill_missing"),
           "The result, entry by entry, where variables are vectors.")
      .def_prop_ro("formula", &Expression::formula)
      .def_prop_ro("variables", &Expression::variables)
      .def_prop_ro("uses_random", &Expression::uses_random)
      .def_prop_ro("returns_scalar", &Expression::returns_scalar)
      .def_prop_ro("elementwise", &Expression::elementwise);
}

}  // namespace

void bind_formulas(nb::module_& core) {
  core.def("murmur64a", [](const nb::bytes& text) { return murmur64a(view(text)); }, nb::arg("text"));
  core.def("murmur64a", [](std::string_view text) { return murmur64a(text); }, nb::arg("text"));
  core.def("fingerprint64", [](const nb::bytes& text) { return fingerprint64(view(text)); }, nb::arg("text"));
  core.def("fingerprint64", [](std::string_view text) { return fingerprint64(text); }, nb::arg("text"));
  core.def("hash_float", &hash_float, nb::arg("number"));
  core.def("hash_double", &hash_double, nb::arg("number"));
  bind_vocabulary(core);
  bind_bucketizer(core);
  bind_normalizer(core);
  bind_expression(core);
}
