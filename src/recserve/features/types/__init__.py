"""One file per feature type; a type is added by its file, its kernel in cpp/features and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.features.types.bool_mask import BoolMask
from recserve.features.types.combine import Combine
from recserve.features.types.combo import Combo
from recserve.features.types.custom import Custom
from recserve.features.types.expr import Expr
from recserve.features.types.id import Id
from recserve.features.types.kv_dot_product import KvDotProduct
from recserve.features.types.lookup import Lookup
from recserve.features.types.match import Match
from recserve.features.types.overlap import Overlap
from recserve.features.types.raw import Raw
from recserve.features.types.regex_replace import RegexReplace
from recserve.features.types.slice import Slice
from recserve.features.types.text_normalizer import TextNormalizer
from recserve.features.types.tokenize import Tokenize

if TYPE_CHECKING:
    from recserve.features.types.feature_type import FeatureType

#: `feature_type` in fg.json → its record. `sequence_<name>` is the stand-alone sequence form of each.
FEATURE_TYPES: dict[str, type[FeatureType]] = {
    "id_feature": Id,
    "raw_feature": Raw,
    "combo_feature": Combo,
    "lookup_feature": Lookup,
    "match_feature": Match,
    "expr_feature": Expr,
    "overlap_feature": Overlap,
    "kv_dot_product": KvDotProduct,
    "bool_mask_feature": BoolMask,
    "combine_feature": Combine,
    "slice_feature": Slice,
    "tokenize_feature": Tokenize,
    "text_normalizer": TextNormalizer,
    "regex_replace_feature": RegexReplace,
    "custom_feature": Custom,
}

_NOT_PUBLIC = "what it computes is not public"
#: `feature_type` of the hosted product that is not here → why, and what to take instead.
REFUSED_TYPES: dict[str, str] = {
    "bm25_feature": f"{_NOT_PUBLIC}; compute the score before, and read it with raw_feature",
    "str_replace": f"{_NOT_PUBLIC}; take regex_replace_feature",
    "str_replace_feature": f"{_NOT_PUBLIC}; take regex_replace_feature",
}
