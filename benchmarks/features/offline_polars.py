"""The groups of benchmarks/features/tables.py in polars: lazy, typed, no Python in any row.

Texts are hashed by polars' own hash, which is another; equal texts have equal ids all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from benchmarks.features.tables import BOUNDARIES, COPIES, DEVIATION, IDS, INTEGERS, MEAN, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable


def raw(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(pl.col(f"x_{k}").fill_null(0.0).alias(f"f_x_{k}") for k in range(COPIES))


def zscore(frame: pl.LazyFrame) -> pl.LazyFrame:
    mean, deviation = pl.lit(MEAN, pl.Float32), pl.lit(DEVIATION, pl.Float32)
    return frame.select(
        ((pl.col(f"x_{k}") - mean) / deviation).fill_null(0.0).alias(f"f_x_{k}") for k in range(COPIES)
    )


def log10(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(
        pl.when(pl.col(f"large_{k}") > 1)
        .then(pl.col(f"large_{k}").log10())
        .otherwise(0.0)
        .alias(f"f_large_{k}")
        for k in range(COPIES)
    )


def boundaries(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The bucket of a missing number is that of 0."""
    limits = pl.lit(pl.Series(BOUNDARIES, dtype=pl.Float32))
    return frame.select(
        limits.search_sorted(pl.col(f"x_{k}").fill_null(0.0), side="right").alias(f"f_x_{k}")
        for k in range(COPIES)
    )


def num_buckets(frame: pl.LazyFrame) -> pl.LazyFrame:
    size = INTEGERS // 2
    return frame.select(
        pl.when(pl.col(f"n_{k}").is_between(0, size - 1))
        .then(pl.col(f"n_{k}"))
        .otherwise(0)
        .alias(f"f_n_{k}")
        for k in range(COPIES)
    )


def lookup(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(pl.col("map").map.get(pl.col("key")).fill_null(0.0).alias("lookup"))


def lookups(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Several keys a row."""
    rows = frame.select("map", "keys").with_row_index("row")
    asked = rows.explode("keys").drop_nulls("keys")
    found = asked.select("row", pl.col("map").map.get(pl.col("keys")).alias("lookups"))
    sums = found.group_by("row").agg(pl.col("lookups").sum())
    joined = rows.select("row").join(sums, on="row", how="left", maintain_order="left")
    return joined.select(pl.col("lookups").fill_null(0.0))


def match(frame: pl.LazyFrame) -> pl.LazyFrame:
    rows = frame.select("nested", "outer", "inner").with_row_index("row")
    outer = rows.with_columns(pl.col("nested").str.split("|")).explode("nested")
    outer = outer.with_columns(pl.col("nested").str.split_exact("^", 1)).unnest("nested", separator="_")
    outer = outer.filter(pl.col("nested_field_0") == pl.col("outer"))
    inner = outer.with_columns(pl.col("nested_field_1").str.split(",").alias("pair")).explode("pair")
    inner = inner.with_columns(pl.col("pair").str.split_exact(":", 1)).unnest("pair", separator="_")
    hits = inner.filter(pl.col("pair_field_0") == pl.col("inner"))
    hits = hits.select("row", pl.col("pair_field_1").cast(pl.Float64).cast(pl.Float32).alias("match"))
    joined = rows.select("row").join(hits, on="row", how="left", maintain_order="left")
    return joined.select(pl.col("match").fill_null(0.0))


def combo(frame: pl.LazyFrame) -> pl.LazyFrame:
    rows = frame.select("tags", "inner", "key").with_row_index("row")
    hashed = (
        rows.explode("tags")
        .drop_nulls("tags")
        .select("row", pl.concat_str("tags", "inner", "key", separator="_").hash().mod(IDS).alias("combo"))
    )
    lists = hashed.group_by("row", maintain_order=True).agg("combo")
    joined = rows.select("row").join(lists, on="row", how="left", maintain_order="left")
    return joined.select(pl.col("combo").fill_null([]))


def sequence(frame: pl.LazyFrame) -> pl.LazyFrame:
    """An element without text, and a row without elements, have the id of the default."""
    element = pl.when(pl.element() == "").then(pl.lit("0")).otherwise(pl.element())
    steps = pl.col("clicks").fill_null("0").str.split(";").list.head(STEPS)
    return frame.select(steps.list.eval(element.hash() % IDS).alias("sequence"))


CONTESTANTS: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    function.__name__: function
    for function in (raw, zscore, log10, boundaries, num_buckets, lookup, lookups, match, combo, sequence)
}
