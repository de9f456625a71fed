"""What the rewrite makes of a model's work: told before anything is compiled, and drawn beside the result.

    steps ──predict──▶ FLOPs by rate ──describe──▶ text for a terminal
      └────write────▶ report.md, report.svg

FLOPs are those of one request, the example that the model was walked with: multiplications and additions of
matrix products, two for each pair of numbers. All else that a model does is small beside them, or moves
memory, which no count of FLOPs tells.

    user   once per request          item   once per candidate, and once per item where results are kept
    pair   once per candidate        plain  what the exported model computes: all of it for each candidate
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from recserve.engines.compiled import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from recserve.compile.rates import walk

MARKDOWN, PICTURE = "report.md", "report.svg"

RATES = ("const", "user", "item", "pair")  # by number
_TITLES = {
    "const": "const: when the model is loaded",
    "user": "user: once per request",
    "item": "item: per candidate, kept where results of items are",
    "pair": "pair: per candidate",
}
MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Prediction:
    """FLOPs of one request of `rows` candidates."""

    rows: int
    plain: float
    user: float
    item: float
    pair: float

    @property
    def ratio(self) -> float:
        """Split to plain; 1 where a model has no matrix products."""
        return (self.user + self.item + self.pair) / self.plain if self.plain else 1.0

    @property
    def ratio_items_kept(self) -> float:
        """The same where results of items are kept."""
        return (self.user + self.pair) / self.plain if self.plain else 1.0

    def figures(self) -> dict[str, float]:
        """For JSON: MFLOP by rate, and the two ratios."""
        return {
            "rows": self.rows,
            "plain_mflop": round(self.plain / MILLION, 3),
            "user_mflop": round(self.user / MILLION, 3),
            "item_mflop": round(self.item / MILLION, 3),
            "pair_mflop": round(self.pair / MILLION, 3),
            "ratio": round(self.ratio, 4),
            "ratio_items_kept": round(self.ratio_items_kept, 4),
        }


def split(steps: Iterable[walk.Step]) -> tuple[Step, ...]:
    """What the walk counted, a step for each rate; the last of an operator's tells what it was before."""
    found = []
    for one in steps:
        by_rate = sorted((one.flops or {one.rate: 0.0}).items())
        found += [
            Step(one.node, one.op, int(rate), 0.0, float(flops), one.note) for rate, flops in by_rate[:-1]
        ]
        rate, flops = by_rate[-1]
        found.append(Step(one.node, one.op, int(rate), float(one.plain_flops), float(flops), one.note))
    return tuple(found)


def predict(steps: Sequence[Step], rows: int) -> Prediction:
    """Sum up steps that were counted for a request of `rows` candidates."""
    by_rate = dict.fromkeys(RATES, 0.0)
    for step in steps:
        by_rate[_rate(step)] += step.flops
    plain = sum(step.plain_flops for step in steps)
    return Prediction(rows, plain, by_rate["user"], by_rate["item"], by_rate["pair"])


def describe(prediction: Prediction, not_understood: Sequence[str] = ()) -> str:
    """What to expect, in lines for a terminal; what was not understood means that the original stays."""
    p = prediction
    lines = [
        f"work of a request of {p.rows} candidates, MFLOP (matrix products):",
        f"  the exported model  {_mflop(p.plain):>9}",
        f"  user, once          {_mflop(p.user):>9}",
        f"  item                {_mflop(p.item):>9}",
        f"  pair                {_mflop(p.pair):>9}",
        f"  predicted: {p.ratio:.2f} of the exported model, "
        f"at most {p.ratio_items_kept:.2f} with results of items kept",
    ]
    if not_understood:
        lines += ["not understood, so the exported model stays:", *(f"  {why}" for why in not_understood)]
    return "\n".join(lines)


def explain(steps: Sequence[Step], count: int = 10) -> str:
    """The steps that cost the most after the rewrite, in lines for a terminal."""
    costly = sorted((step for step in steps if step.flops), key=lambda step: -step.flops)[:count]
    if not costly:
        return "no step has a matrix product"
    total = sum(step.flops for step in steps)
    cells = [("MFLOP", "share", "before", "rate", "operator", "node", "")]
    cells += [
        (
            _mflop(step.flops),
            f"{step.flops / total:.0%}",
            _mflop(step.plain_flops) if step.plain_flops else "",
            _rate(step),
            step.op,
            step.node,
            step.note,
        )
        for step in costly
    ]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    numbers = 3  # the first columns stand right
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place < numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def write(folder: Path, steps: Sequence[Step], rows: int, *, not_understood: Sequence[str] = ()) -> None:
    """Write report.md and report.svg into a folder."""
    (folder / MARKDOWN).write_text(markdown(steps, rows, not_understood=not_understood))
    (folder / PICTURE).write_text(picture(steps, rows))


def markdown(steps: Sequence[Step], rows: int, *, not_understood: Sequence[str] = ()) -> str:
    """A page: FLOPs by rate, what was not understood, and every step."""
    p = predict(steps, rows)
    head = ["plain", "user", "item", "pair", "predicted", "predicted, items kept"]
    figures = [*map(_mflop, (p.plain, p.user, p.item, p.pair)), f"{p.ratio:.2f}", f"{p.ratio_items_kept:.2f}"]
    blocks = [
        "# The model at its own rates",
        f"![What became user, item and pair]({PICTURE})",
        f"MFLOP of a request of {rows} candidates:",
        _table(head, [figures]),
    ]
    if not_understood:
        blocks += ["Not understood, so the exported model stays:"]
        blocks += ["\n".join(f"- {why}" for why in not_understood)]
    if steps:
        head = ["operator", "MFLOP before", *(f"{name} now" for name in RATES[1:]), "note"]
        nodes: dict[str, list[Step]] = {}
        for step in steps:
            nodes.setdefault(step.node, []).append(step)
        blocks += ["## Steps", _table(head, [_row(found) for found in nodes.values()])]
    return "\n\n".join(blocks) + "\n"


def _row(steps: Sequence[Step]) -> list[str]:
    """Of the steps of one operator."""
    now = {_rate(step): _mflop(step.flops) for step in steps if step.flops}
    before = _mflop(sum(step.plain_flops for step in steps))
    name = f"`{steps[0].op}` {steps[0].node}"
    return [name, before, *(now.get(rate, "") for rate in RATES[1:]), steps[0].note]


def _rate(step: Step) -> str:
    return RATES[step.rate]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _mflop(flops: float) -> str:
    return f"{flops / MILLION:.2f}" if flops < 10 * MILLION else f"{flops / MILLION:.1f}"


# -- the picture -------------------------------------------------------------------------------------------

_FILL = {"const": "#e9e9e9", "user": "#d6e5fa", "item": "#d4efdb", "pair": "#ffe2c2", "plain": "#e9e9e9"}
_LINE = {"const": "#6b6b6b", "user": "#2c5a97", "item": "#2b7343", "pair": "#8f520d", "plain": "#6b6b6b"}
_WIDTH, _EDGE, _LINE_HEIGHT = 960, 16, 18
_BAR = 26
_BOX_WIDTH, _BOX_HEIGHT, _GAP = 224, 58, 8
#: Steps of less than this share of all work before and after are drawn as one box.
_SMALL = 0.005


def picture(steps: Sequence[Step], rows: int) -> str:
    """Draw what became of the work, as SVG: three bars, and a lane of steps for each rate.

    All that colours tell is also written: titles and texts can be read aloud and searched for.
    """
    p = predict(steps, rows)
    drawn: list[str] = []
    y = _draw_bars(drawn, p)
    for name in RATES:
        lane = [step for step in steps if _rate(step) == name]
        if any(step.flops or step.plain_flops for step in lane):
            y = _draw_lane(drawn, name, lane, y, small=_SMALL * max(p.plain, 1.0))
    summary = " ".join(line.strip() for line in describe(p).splitlines())
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}"'
            f' viewBox="0 0 {_WIDTH} {y}" role="img"'
            ' aria-labelledby="title summary" font-family="Helvetica, Arial, sans-serif"'
            ' font-size="12" fill="#1b1b1b">',
            '<title id="title">The model at its own rates</title>',
            f'<desc id="summary">{escape(summary)}</desc>',
            f'<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _draw_bars(drawn: list[str], p: Prediction) -> int:
    """The work as exported, as split, and with results of items kept; returns where the next thing starts."""
    y = _EDGE + _LINE_HEIGHT
    drawn.append(_text(_EDGE, y, f"MFLOP of a request of {p.rows} candidates", size=15))
    bars: list[tuple[str, list[tuple[str, float]]]] = [
        ("exported", [("plain", p.plain)]),
        (f"split: {p.ratio:.2f}", [("user", p.user), ("item", p.item), ("pair", p.pair)]),
        (f"items kept: {p.ratio_items_kept:.2f}", [("user", p.user), ("pair", p.pair)]),
    ]
    left = _EDGE + 124
    most = max([p.plain, p.user + p.item + p.pair, 1.0])
    scale = (_WIDTH - left - _EDGE) / most
    y += _GAP
    for title, parts in bars:
        drawn.append(_text(_EDGE, y + _BAR - 9, title))
        x = float(left)
        for name, flops in parts:
            width = flops * scale
            if width <= 0:
                continue
            label = f"{name} {_mflop(flops)}"
            drawn.append(_box((x, y), width, _BAR, name, f"{title}, {label} MFLOP"))
            if width > 7 * len(label) + 8:
                drawn.append(_text(x + 6, y + _BAR - 9, label))
            x += width
        y += _BAR + _GAP
    return y + _GAP


def _draw_lane(drawn: list[str], name: str, steps: Sequence[Step], y: int, *, small: float) -> int:
    """Steps of one rate in the order of the program; returns where the next lane starts."""
    total = sum(step.flops for step in steps)
    drawn.append(f'<g aria-label="{name}">')
    y += _LINE_HEIGHT
    drawn.append(_text(_EDGE, y, f"{_TITLES[name]}: {_mflop(total)} MFLOP", size=14, colour=_LINE[name]))
    y += _GAP
    fitting = (_WIDTH - 2 * _EDGE + _GAP) // (_BOX_WIDTH + _GAP)
    boxes = list(_boxes(steps, small))
    for place, (lines, title) in enumerate(boxes):
        x = _EDGE + (place % fitting) * (_BOX_WIDTH + _GAP)
        top = y + (place // fitting) * (_BOX_HEIGHT + _GAP)
        drawn.append(_box((x, top), _BOX_WIDTH, _BOX_HEIGHT, name, title))
        for row, line in enumerate(lines):
            drawn.append(_text(x + 8, top + 16 + 17 * row, _short(line), weight="bold" if row == 0 else ""))
    drawn.append("</g>")
    return y + -(-len(boxes) // fitting) * (_BOX_HEIGHT + _GAP) + _GAP


def _boxes(steps: Sequence[Step], small: float) -> Iterator[tuple[tuple[str, ...], str]]:
    """Lines of a box, and its title, which is never cut short; what is small shares the last box."""
    few = [step for step in steps if max(step.flops, step.plain_flops) < small]
    if len(few) == 1:
        few = []
    for step in steps:
        if step in few:
            continue
        work = f"{f'{_mflop(step.plain_flops)} → ' if step.plain_flops else ''}{_mflop(step.flops)} MFLOP"
        title = f"{step.op} {step.node}: {work}" + (f"; {step.note}" if step.note else "")
        yield (step.node, work, step.note), title
    if few:
        work = f"{_mflop(sum(step.flops for step in few))} MFLOP"
        names = ", ".join(op for op, _ in Counter(step.op for step in few).most_common(4))
        yield (f"{len(few)} smaller steps", work, names), f"{len(few)} smaller steps: {work}; {names}"


def _box(corner: tuple[float, float], width: float, height: float, name: str, title: str) -> str:
    x, y = corner
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="3" fill="{_FILL[name]}"'
        f' stroke="{_LINE[name]}"><title>{escape(title)}</title></rect>'
    )


def _text(x: float, y: float, text: str, *, size: int = 0, colour: str = "", weight: str = "") -> str:
    style = f' font-size="{size}"' if size else ""
    style += f' fill="{colour}"' if colour else ""
    style += f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{escape(text)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= 34 else text[:33] + "…"
