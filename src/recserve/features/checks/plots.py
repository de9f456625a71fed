"""Pictures of features, twelve to a page: the distribution before its baseline, how often there was no value.

The one file that needs matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.features.checks.stats import Baseline, FeatureStats

_COLUMNS, _ROWS = 3, 4
_TOP = 15
_BARS = 30
_TODAY, _BEFORE = "#1f6feb", "#9aa4b2"


def draw(today: Baseline, folder: Path, *, before: Baseline | None = None, form: str = "png") -> list[Path]:
    """Write features_1.png and so on, and say which; `before` is drawn behind in grey."""
    figure_class = _figure_class()
    folder.mkdir(parents=True, exist_ok=True)
    stats = list(today.features.values())
    pages: list[Path] = []
    for start in range(0, len(stats), _COLUMNS * _ROWS):
        on_page = stats[start : start + _COLUMNS * _ROWS]
        figure = figure_class(figsize=(5 * _COLUMNS, 3 * _ROWS), layout="constrained")
        axes = figure.subplots(_ROWS, _COLUMNS, squeeze=False).flatten()
        for place, axis in enumerate(axes):
            if place >= len(on_page):
                axis.set_axis_off()
                continue
            old = before.features.get(on_page[place].feature) if before is not None else None
            _draw_feature(axis, on_page[place], old if old and old.kind == on_page[place].kind else None)
        page = folder / f"features_{len(pages) + 1}.{form}"
        figure.savefig(page, dpi=100)
        pages.append(page)
    return pages


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'recserve[plots]'") from error
    return Figure


def _draw_feature(axis: Any, today: FeatureStats, before: FeatureStats | None) -> None:
    if today.kind == "numbers":
        _draw_numbers(axis, today, before)
    else:
        _draw_top(axis, today, before)
    no_value = f"no value {today.default_rate:.1%}"
    if before is not None:
        no_value += f" (was {before.default_rate:.1%})"
    axis.set_title(f"{_plain(today.feature)}\n{today.distinct:,} different, {no_value}", fontsize=9)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_numbers(axis: Any, today: FeatureStats, before: FeatureStats | None) -> None:
    """Bars of equal width between the 1st and the 99th percentile."""
    sides = [side for side in (today, before) if side is not None and side.numbers.count]
    if not sides:
        return
    low = min(side.numbers.quantile(0.01) for side in sides)
    high = max(side.numbers.quantile(0.99) for side in sides)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = [low + (high - low) * place / _BARS for place in range(_BARS + 1)]
    for side in reversed(sides):
        below = side.numbers.below(edges)
        axis.stairs(
            [*(below[1:] - below[:-1])],
            edges,
            fill=True,
            color=_TODAY if side is today else _BEFORE,
            alpha=0.7 if before is not None else 1,
        )


def _draw_top(axis: Any, today: FeatureStats, before: FeatureStats | None) -> None:
    """The most frequent ids; those of a few buckets in their order."""
    shares, old = today.shares, before.shares if before is not None else {}
    names = list(shares)[:_TOP]
    if today.kind == "ids" and len(shares) <= _TOP:
        names = sorted({*names, *list(old)[:_TOP]}, key=int)
    width = 0.4 if before is not None else 0.8
    places = range(len(names))
    axis.bar(places, [shares.get(name, 0) for name in names], width, color=_TODAY)
    if before is not None:
        axis.bar([p + width for p in places], [old.get(name, 0) for name in names], width, color=_BEFORE)
    axis.set_xticks(places, [_plain(name, 12) for name in names], rotation=60 if len(names) > 8 else 0)


def _plain(text: str, most: int = 60) -> str:
    """Text that matplotlib draws as it is: $ would start a formula."""
    shown = text.replace("$", r"\$").replace("\x1d", "|")
    return shown if len(shown) <= most else f"{shown[:most]}…"
