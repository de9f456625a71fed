"""One file per feature type; a type is added by its file, its kernel in cpp/features and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.features.types.combo import Combo
from recserve.features.types.expr import Expr
from recserve.features.types.id import Id
from recserve.features.types.lookup import Lookup
from recserve.features.types.match import Match
from recserve.features.types.raw import Raw

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
}
