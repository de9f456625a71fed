"""plan ──drawing──▶ a picture: Mermaid text for Markdown, or Graphviz's dot and, by its program, SVG.

Features are coloured and grouped by their rate, members of a sequence group once more by the group; arrows
lead from columns to the features that read them. Large plans are drawn `folded`: like features as one node.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.errors import LoadError
from recserve.features.views.overview import RATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recserve.features.inputs import PlannedInput
    from recserve.features.plan import Plan, PlannedFeature

#: More features than these are folded unless a reader asks for all.
MANY = 60

_FILL = {"const": "#e9e9e9", "item": "#d4efdb", "user": "#d6e5fa", "pair": "#ffe2c2"}
_LINE = {"const": "#8a8a8a", "item": "#3f9a5b", "user": "#3d72b8", "pair": "#c77a1f"}
_TITLE = {
    "const": "const: with the model",
    "item": "item: with the item row",
    "user": "user: once per request",
    "pair": "pair: per candidate",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A column (without rate) or a feature, or several alike."""

    key: str
    lines: tuple[str, ...]
    rate: str = ""
    group: str = ""  # the sequence group of a member, and the column of its ids
    stub: bool = False
    python: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """What every kind of picture shows."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, bool], ...]  # from, to, gathered at the ids of a sequence

    def columns(self) -> list[Node]:
        """Nodes that are read and not computed."""
        return [node for node in self.nodes if not node.rate]

    def by_rate(self) -> Iterator[tuple[str, dict[str, list[Node]]]]:
        """Features of each rate by their group; "" = none."""
        for rate in RATES:
            groups: dict[str, list[Node]] = {}
            for node in self.nodes:
                if node.rate == rate:
                    groups.setdefault(node.group, []).append(node)
            if groups:
                yield rate, groups


def draw(plan: Plan, names: Iterable[str] | None = None, *, folded: bool = False) -> Drawing:
    """Draw a plan, or `names` of its features with what they read."""
    planned = {feature.name: feature for feature in plan.features}
    wanted = set(planned if names is None else names)
    drawn = wanted | {i.name for name in wanted for i in planned[name].inputs if i.source == "feature"}
    feature_key = _folded_key if folded else _own_key
    column_key = _side if folded else _column

    members: dict[str, list[PlannedFeature]] = {}
    columns: dict[str, set[str]] = {}
    edges: dict[tuple[str, str, bool], None] = {}
    for feature in (planned[name] for name in plan.order if name in drawn):
        key = feature_key(feature)
        members.setdefault(key, []).append(feature)
        for source in feature.inputs if feature.name in wanted else ():
            if source.source == "feature":
                origin = feature_key(planned[source.name])
            else:
                origin = column_key(source)
                columns.setdefault(origin, set()).add(_column(source))
            if origin != key:
                edges[origin, key, source.source == "group"] = None
    nodes = [Node(key, _column_lines(key, found)) for key, found in columns.items()]
    nodes += [_feature_node(key, found) for key, found in members.items()]
    return Drawing(tuple(nodes), tuple(edges))


def mermaid(drawing: Drawing) -> str:
    """Write a Mermaid flowchart, as Markdown pages show it in a fence `mermaid`."""
    ids = {node.key: f"n{place}" for place, node in enumerate(drawing.nodes)}

    def text(node: Node) -> str:
        label = "<br/>".join(_escaped(line, _MERMAID) for line in node.lines)
        opened, closed = ("[[", "]]") if node.python else ("[", "]") if node.rate else ("([", "])")
        style = f":::{node.rate or 'column'}{'Stub' if node.stub else ''}"
        return f'{ids[node.key]}{opened}"{label}"{closed}{style}'

    lines = ["flowchart LR", *(f"  {text(node)}" for node in drawing.columns())]
    for rate, groups in drawing.by_rate():
        lines.append(f'  subgraph {rate}Rate["{_TITLE[rate]}"]')
        for place, (group, nodes) in enumerate(groups.items()):
            inner = [f"    {text(node)}" for node in nodes]
            if group:
                title = _escaped(group, _MERMAID)
                inner = [
                    f'    subgraph {rate}Group{place}["{title}"]',
                    *(f"  {line}" for line in inner),
                    "    end",
                ]
            lines += inner
        lines.append("  end")
    lines += [f"  {ids[a]} {'-.->' if gathered else '-->'} {ids[b]}" for a, b, gathered in drawing.edges]
    for rate in RATES:
        style = f"fill:{_FILL[rate]},stroke:{_LINE[rate]},color:#222"
        lines += [f"  classDef {rate} {style}", f"  classDef {rate}Stub {style},stroke-dasharray:4 3"]
    lines.append("  classDef column fill:#fff,stroke:#999,color:#222")
    return "\n".join(lines) + "\n"


def dot(drawing: Drawing) -> str:
    """Write a graph for Graphviz."""
    ids = {node.key: f"n{place}" for place, node in enumerate(drawing.nodes)}

    def text(node: Node) -> str:
        label = "\\n".join(_escaped(line, _DOT) for line in node.lines)
        if not node.rate:
            return f'{ids[node.key]} [label="{label}", shape=plaintext]'
        style = "rounded,filled,dashed" if node.stub else "rounded,filled"
        rings = ", peripheries=2" if node.python else ""
        colours = f'fillcolor="{_FILL[node.rate]}", color="{_LINE[node.rate]}"'
        return f'{ids[node.key]} [label="{label}", style="{style}", {colours}{rings}]'

    lines = [
        "digraph features {",
        '  rankdir=LR; ranksep=0.7; nodesep=0.12; fontname="Helvetica"; fontsize=12; compound=true;',
        '  node [shape=box, fontname="Helvetica", fontsize=11, height=0.3, margin="0.12,0.05"];',
        '  edge [color="#8a8a8a", arrowsize=0.6];',
        *(f"  {text(node)};" for node in drawing.columns()),
    ]
    for rate, groups in drawing.by_rate():
        frame = f'label="{_TITLE[rate]}"; labeljust=l; style=rounded; color="{_LINE[rate]}"'
        lines += [f"  subgraph cluster_{rate} {{", f'    {frame}; fontcolor="{_LINE[rate]}";']
        for place, (group, nodes) in enumerate(groups.items()):
            inner = [f"    {text(node)};" for node in nodes]
            if group:
                title = _escaped(group, _DOT)
                head = f'    subgraph cluster_{rate}_{place} {{ label="{title}"; style="rounded,dashed";'
                inner = [head, *(f"  {line}" for line in inner), "    }"]
            lines += inner
        lines.append("  }")
    for a, b, gathered in drawing.edges:
        lines.append(f"  {ids[a]} -> {ids[b]}{' [style=dashed]' if gathered else ''};")
    return "\n".join([*lines, "}"]) + "\n"


def svg(text: str) -> bytes:
    """Let Graphviz draw the graph that `dot` wrote."""
    program = shutil.which("dot")
    if program is None:
        raise LoadError(
            "drawing SVG takes Graphviz's program dot, which is not here; install it (Debian, Ubuntu: "
            "apt-get install graphviz), or use --mermaid or --dot, which need nothing"
        )
    done = subprocess.run([program, "-Tsvg"], input=text.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise LoadError(f"dot ends with status {done.returncode}: {done.stderr.decode().strip()}")
    return done.stdout


# -- what a node stands for --------------------------------------------------------------------------------


def _own_key(feature: PlannedFeature) -> str:
    return f"feature:{feature.name}"


def _folded_key(feature: PlannedFeature) -> str:
    """Features alike: of one rate, type and group, that read the same sides."""
    sides = sorted({source.source for source in feature.inputs})
    grouped = feature.feature.group is not None
    alike = (feature.rate, feature.type, grouped, feature.is_output, bool(feature.element))
    return "feature:" + "/".join(str(part) for part in (*alike, *sides))


def _column(source: PlannedInput) -> str:
    side = "item" if source.source == "group" else source.source
    return f"{side}:{source.name}"


def _side(source: PlannedInput) -> str:
    return "item" if source.source == "group" else source.source


def _group(features: list[PlannedFeature]) -> str:
    groups = {feature.feature.group for feature in features}
    if len(groups) > 1:
        return f"{len(groups)} sequence groups"
    group = next(iter(groups))
    return "" if group is None else f"{group.name}, ids in user:{group.key}"


def _column_lines(key: str, names: set[str]) -> tuple[str, ...]:
    if len(names) == 1:
        return (_short(next(iter(names))),)
    return (key, f"{len(names)} {'constants' if key == 'const' else 'columns'}")


def _feature_node(key: str, features: list[PlannedFeature]) -> Node:
    first = features[0]
    kind = first.type.removesuffix("_feature")
    if first.python_step:
        kind += " (Python step)"
    lines = [_short(first.name), kind]
    if len(features) > 1:
        lines = [f"{len(features)} × {kind}", _short(", ".join(feature.name for feature in features))]
    if first.element:
        lines.append("elements from item rows")
    stub = not any(feature.is_output for feature in features)
    return Node(key, tuple(lines), first.rate, _group(features), stub, first.python_step)


def _short(text: str) -> str:
    shown = text.replace("\x1d", " ")
    return shown if len(shown) <= 32 else shown[:31] + "…"


_MERMAID = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "\n": " "}
_DOT = {"\\": "\\\\", '"': '\\"', "\n": " "}


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)
