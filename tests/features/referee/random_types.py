"""The keys of a random feature of each type."""

from __future__ import annotations

from collections.abc import Callable

from tests.features.referee.overlap import METHODS
from tests.features.referee.random_data import NUMBER_LISTS, SCALAR_NUMBERS, WORDS
from tests.features.referee.random_features import BOUNDARIES, NUMBER_DEFAULTS, Features, Spec
from tests.features.referee.random_formulas import formula, reduction
from tests.features.referee.random_text_types import (
    draw_custom,
    draw_regex_replace,
    draw_slice,
    draw_text_normalizer,
    draw_tokenize,
)

Draw = Callable[[Features], Spec]

NORMALIZERS = (
    "method=log10",
    "method=log10,threshold=0.5,default=-1",
    "method=log10,threshold=1e-6,default=-10",
    "method=zscore,mean=0.1,standard_deviation=0.3",
    "method=zscore,mean=2,standard_deviation=10.5",
    "method=minmax,min=0.1,max=7.3",
    "method=minmax,min=-1,max=100",
    "method=expression,expr=sign(x)",
    "method=expression,expr=x * 0.1 + max(x, 2)",
    "method=expression,expr=log(1 + abs(x))",
)
COMBINERS = ("sum", "sum", "mean", "avg", "min", "max", "count", "gap_min", "gap_max", "")


def draw_id(draw: Features) -> Spec:
    """Tokens, weighted tokens, and numbers with boundaries."""
    spec: Spec
    if not draw.sequence and draw.rng.random() < 0.1:
        number = draw.input("number", types=SCALAR_NUMBERS + NUMBER_LISTS)
        spec = {
            "feature_type": "id_feature",
            "expression": number,
            "boundaries": draw.rng.choice(BOUNDARIES),
        }
        return spec | {"numeric": False, "default_value": draw.rng.choice(NUMBER_DEFAULTS)}
    weighted = not draw.sequence and draw.rng.random() < 0.2
    kind = "weighted" if weighted else draw.rng.choice(("word", "word", "integer", "weighted"))
    kind = "word" if kind == "weighted" and draw.sequence else kind
    spec = {"feature_type": "id_feature", "expression": draw.input(kind)}
    spec |= {"weighted": True} if weighted else {}
    return spec | draw.discrete(kind) | draw.value_dim((0, 1, 1, 2))


def draw_raw(draw: Features) -> Spec:
    """A number or a vector."""
    spec: Spec = {"feature_type": "raw_feature", "expression": draw.input("number")}
    width = draw.rng.choice((1, 1, 1, 0, 2, 3))
    if width != 1:
        spec["value_dim"] = width
    if draw.rng.random() < 0.4:
        spec["normalizer"] = draw.rng.choice(NORMALIZERS)
    return spec | draw.numeric(width)


def draw_combo(draw: Features) -> Spec:
    """Two or three inputs."""
    inputs = [draw.input("word") for _ in range(draw.rng.choice((2, 2, 3)))]
    spec: Spec = {"feature_type": "combo_feature", "expression": inputs}
    return spec | draw.discrete("word", numbers=False) | draw.value_dim((0, 0, 1, 2))


def draw_lookup(draw: Features) -> Spec:
    """A map and a key, numeric or discrete."""
    numeric = draw.rng.random() < 0.5
    key_first = draw.sequence and draw.rng.random() < 0.7
    kind = "number pairs" if numeric else draw.rng.choice(("pairs", "number pairs"))
    if key_first:
        key = draw.input("word", sequence=True)
        table = draw.input(kind, sequence=False)
    else:
        table = draw.input(kind, sequence=False if not draw.sequence else None)
        key = draw.input("word")
    spec: Spec = {"feature_type": "lookup_feature", "map": table, "key": key}
    if not numeric:
        spec["needDiscrete"] = True
        bucketized = draw.discrete("word")
        if "num_buckets" not in bucketized and draw.rng.random() < 0.4:
            spec["needKey"] = True
        return spec | bucketized | {"value_dim": draw.rng.choice((0, 1, 2))}
    spec |= draw.rng.choice(({"needDiscrete": False}, {"need_discrete": False}, {}))
    if draw.rng.random() < 0.8:
        spec["combiner"] = draw.rng.choice(COMBINERS)
    if draw.rng.random() < 0.3:
        spec["normalizer"] = draw.rng.choice(NORMALIZERS)
    return spec | draw.numeric(1) | {"value_dim": draw.rng.choice((0, 1))}


def draw_match(draw: Features) -> Spec:
    """A nested map and keys, one of them perhaps ALL."""
    numeric = draw.rng.random() < 0.4
    wild = draw.rng.choice(("", "", "category", "item", "both"))
    spec: Spec = {"feature_type": "match_feature"}
    nested = "number nested" if numeric else "nested"
    if wild != "both":
        first = "item" if wild == "category" else "category"
        spec[first] = draw.input("word", sequence=draw.sequence)
        if not wild:
            spec["item"] = draw.input("word")
        spec["user"] = draw.input(nested, sequence=False)
    else:
        spec["user"] = draw.input(nested, sequence=draw.sequence)
    spec |= {"category": spec.get("category", "ALL"), "item": spec.get("item", "ALL")}
    spec |= draw.rng.choice(({"matchType": "multihit"}, {"matchType": "hit"}, {"match_type": "hit"}, {}))
    if numeric:
        spec["needDiscrete"] = False
        if draw.rng.random() < 0.3:
            spec["normalizer"] = draw.rng.choice(NORMALIZERS)
        return spec | draw.numeric(1) | {"value_dim": draw.rng.choice((0, 1))}
    for key in ("needDiscrete", "show_category", "show_item", "need_prefix"):
        if draw.rng.random() < 0.4:
            spec[key] = key == "needDiscrete" or draw.rng.random() < 0.5
    return spec | draw.discrete("word", prefix=False) | draw.value_dim((0, 0, 1, 2))


def draw_expr(draw: Features) -> Spec:
    """A formula, or a reduction of vectors."""
    reduces = not draw.sequence and draw.rng.random() < 0.25
    kind = "number" if reduces or draw.rng.random() < 0.3 else "scalar"
    variables = [draw.input(kind, types=()) for _ in range(draw.rng.choice((1, 2) if reduces else (1, 2, 3)))]
    names = [reference.split(":", 1)[1] for reference in variables]
    text = reduction(draw.rng, names) if reduces else formula(draw.rng, names)
    spec: Spec = {"feature_type": "expr_feature", "expression": text, "variables": variables}
    if draw.rng.random() < 0.3:
        spec["fill_missing"] = draw.rng.choice((0, 1.5, -1))
    if draw.rng.random() < 0.1:
        spec["normalizer"] = draw.rng.choice(NORMALIZERS)
    numeric = draw.numeric(1, vocabulary=False)
    return spec | numeric | draw.value_dim((0, 1, 1, 2))


def draw_overlap(draw: Features) -> Spec:
    """Two lists of words."""
    query, title = draw.input("word"), draw.input("word")
    spec: Spec = {"feature_type": "overlap_feature", "query": query, "title": title}
    spec["method"] = draw.rng.choice(tuple(METHODS))
    return spec | _normalized(draw) | draw.numeric(1, vocabulary=False)


def draw_kv_dot_product(draw: Features) -> Spec:
    """Two sides of keys and values, each in a form of its own."""
    query, document = draw.input("kv"), draw.input("kv")
    spec: Spec = {"feature_type": "kv_dot_product", "query": query, "document": document}
    if draw.rng.random() < 0.3:
        spec["kv_delimiter"] = draw.rng.choice((":", "="))
    return spec | _normalized(draw) | draw.numeric(1, vocabulary=False)


def draw_bool_mask(draw: Features) -> Spec:
    """Values, and a mask that in a sequence is one as well."""
    kind = draw.rng.choice(("word", "word", "integer"))
    values = draw.input(kind, sequence=draw.sequence)
    mask = draw.input("one mask" if draw.sequence else "mask", sequence=draw.sequence)
    spec: Spec = {"feature_type": "bool_mask_feature", "expression": [values, mask]}
    return spec | draw.discrete(kind) | draw.value_dim((0, 0, 1, 2))


def draw_combine(draw: Features) -> Spec:
    """Numbers, or words that are looked up."""
    mapped = draw.rng.random() < 0.5
    reference = draw.input(draw.rng.choice(("word", "integer", "number")) if mapped else "number")
    spec: Spec = {"feature_type": "combine_feature", "expression": reference}
    if mapped:
        words = draw.rng.sample((*WORDS, "5", "10", "0.1"), draw.rng.randint(1, 10))
        spec["value_map"] = {word: draw.rng.choice((0, 1, 2.5, -3, 0.1, 100)) for word in words}
    if draw.rng.random() < 0.8:
        spec["combiner"] = draw.rng.choice([name for name in COMBINERS if name])
    return spec | _normalized(draw) | draw.numeric(1, vocabulary=False)


def _normalized(draw: Features) -> Spec:
    return {"normalizer": draw.rng.choice(NORMALIZERS)} if draw.rng.random() < 0.3 else {}


TYPES: tuple[Draw, ...] = (
    *(draw_id, draw_raw, draw_combo, draw_lookup, draw_match, draw_expr, draw_overlap, draw_kv_dot_product),
    *(draw_bool_mask, draw_combine, draw_slice, draw_custom),
    *(draw_regex_replace, draw_text_normalizer, draw_tokenize),
)


def draw_type(draw: Features) -> Spec:
    """The keys of one feature of any type, with `numeric`: whether its result is a number."""
    return draw.rng.choice(TYPES)(draw)
