#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "bind/byte_of.h"
#include "features/bool_mask.h"
#include "features/bucketize_only.h"
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

using namespace recserve;

/// One class per feature type.
void bind_feature_types(nb::module_& core) {
  nb::class_<Kernel>(core, "Kernel", "A feature type: columns in, one result per row out.")
      .def_prop_ro("random", &Kernel::random, "Two runs may differ.");

  nb::class_<BucketizeOnlyKernel, Kernel>(core, "BucketizeOnlyKernel")
      .def(
          "__init__",
          [](BucketizeOnlyKernel* self, const std::string& separator, bool cut) {
            new (self) BucketizeOnlyKernel(byte_of(separator), cut);
          },
          nb::arg("separator"), nb::arg("cut"));
  nb::class_<IdKernel, Kernel>(core, "IdKernel")
      .def(
          "__init__",
          [](IdKernel* self, const std::string& separator, bool weighted) {
            new (self) IdKernel(byte_of(separator), weighted);
          },
          nb::arg("separator"), nb::arg("weighted"));
  nb::class_<RawKernel, Kernel>(core, "RawKernel")
      .def(
          "__init__",
          [](RawKernel* self, const std::string& separator, bool null_is_zero) {
            new (self) RawKernel(byte_of(separator), null_is_zero);
          },
          nb::arg("separator"), nb::arg("null_is_zero"));
  nb::class_<ComboKernel, Kernel>(core, "ComboKernel")
      .def(
          "__init__",
          [](ComboKernel* self, const std::string& separator) { new (self) ComboKernel(byte_of(separator)); },
          nb::arg("separator"));
  nb::class_<LookupKernel, Kernel>(core, "LookupKernel")
      .def(
          "__init__",
          [](LookupKernel* self, const std::string& separator, bool discrete, bool need_key,
             const std::string& combiner) {
            new (self) LookupKernel(byte_of(separator), discrete, need_key, combiner);
          },
          nb::arg("separator"), nb::arg("discrete"), nb::arg("need_key"), nb::arg("combiner"));
  nb::class_<MatchKernel, Kernel>(core, "MatchKernel")
      .def(
          "__init__",
          [](MatchKernel* self, const std::string& separator, bool discrete, bool category_all, bool item_all,
             bool multihit, bool show_category, bool show_item, const std::string& prefix) {
            new (self) MatchKernel({byte_of(separator), discrete, category_all, item_all, multihit,
                                    show_category, show_item, prefix});
          },
          nb::kw_only(), nb::arg("separator"), nb::arg("discrete"), nb::arg("category_all"),
          nb::arg("item_all"), nb::arg("multihit"), nb::arg("show_category"), nb::arg("show_item"),
          nb::arg("prefix"));
  nb::class_<ExprKernel, Kernel>(core, "ExprKernel")
      .def(
          "__init__",
          [](ExprKernel* self, const Expression& formula, const std::string& separator, double fill_missing) {
            new (self) ExprKernel(formula, byte_of(separator), fill_missing);
          },
          nb::arg("formula"), nb::arg("separator"), nb::arg("fill_missing"));
  nb::class_<OverlapKernel, Kernel>(core, "OverlapKernel")
      .def(
          "__init__",
          [](OverlapKernel* self, const std::string& separator, const std::string& method) {
            new (self) OverlapKernel(byte_of(separator), method);
          },
          nb::arg("separator"), nb::arg("method"));
  nb::class_<KvDotProductKernel, Kernel>(core, "KvDotProductKernel")
      .def(
          "__init__",
          [](KvDotProductKernel* self, const std::string& separator, const std::string& delimiter) {
            new (self) KvDotProductKernel(byte_of(separator), byte_of(delimiter));
          },
          nb::arg("separator"), nb::arg("delimiter"));
  nb::class_<BoolMaskKernel, Kernel>(core, "BoolMaskKernel")
      .def(
          "__init__",
          [](BoolMaskKernel* self, const std::string& separator, bool sequence) {
            new (self) BoolMaskKernel(byte_of(separator), sequence);
          },
          nb::arg("separator"), nb::arg("sequence"));
  nb::class_<CombineKernel, Kernel>(core, "CombineKernel")
      .def(
          "__init__",
          [](CombineKernel* self, const std::string& separator,
             std::optional<CombineKernel::ValueMap> value_map, const std::string& combiner) {
            new (self) CombineKernel(byte_of(separator), std::move(value_map), combiner);
          },
          nb::arg("separator"), nb::arg("value_map").none(), nb::arg("combiner"));
  nb::class_<SliceKernel, Kernel>(core, "SliceKernel")
      .def(
          "__init__",
          [](SliceKernel* self, const std::string& separator, int64_t start, std::optional<int64_t> end,
             int64_t step) { new (self) SliceKernel(byte_of(separator), start, end, step); },
          nb::arg("separator"), nb::arg("start"), nb::arg("end").none(), nb::arg("step"));
  nb::class_<EditDistanceKernel, Kernel>(core, "EditDistanceKernel").def(nb::init<bool>(), nb::arg("utf8"));
}
