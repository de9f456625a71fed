"""What the demo prints: scores a person can read, quality, latency by stage, and the parity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from clicks import SHOWN
from rich.table import Table
from rows import auc

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from asking import Request
    from doors import Answer
    from rich.console import Console

    from recserve.client import Scores as Seen
    from recserve.client.captures import Kept

Scores = list[dict[str, list[float]]]


def scores(console: Console, asked: list[Request], answered: Scores, items: pa.Table) -> None:
    """The best items of a few held-out users."""
    category = dict(zip(items["item_id"].to_pylist(), items["category"].to_pylist(), strict=True))
    table = Table(
        "user", "likes", "item", "category", "ctr", "cvr", "", title="held-out users, their top items"
    )
    for one, found in list(zip(asked, answered, strict=True))[:5]:
        taste = sorted(one["user"]["taste"][1].items(), key=lambda item: -item[1])[:3]
        best = np.argsort(found["probs_ctr"])[::-1][:3]
        for rank, row in enumerate(best):
            item_id = one["item_ids"][row]
            clicked = "clicked" if row < SHOWN and one["clicks"][row] else ""
            who = (one["user"]["user_id"][1], ", ".join(name for name, _ in taste)) if rank == 0 else ("", "")
            ctr, cvr = found["probs_ctr"][row], found["probs_cvr"][row]
            table.add_row(*who, item_id, category.get(item_id, "?"), f"{ctr:.3f}", f"{cvr:.3f}", clicked)
        table.add_section()
    console.print(table)


def quality(console: Console, asked: list[Request], answered: Scores, single: tuple[str, float]) -> float:
    """AUC over the impressions whose clicks we know, beside the best single feature; returns the gain."""
    label = np.concatenate([one["clicks"] for one in asked])
    score = np.concatenate([found["probs_ctr"][:SHOWN] for found in answered])
    area = auc(label, score)
    name, alone = single
    console.print(f"AUC (ctr) {area:.4f}   best single feature: {name} {alone:.4f}  gain {area - alone:+.4f}")
    return area - alone


def latency(console: Console, metrics: str) -> None:
    """Mean time of each stage of a request, from the text that the server gives Prometheus."""
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line and line[0] != "#")
    table = Table("stage", "ms", title="latency by stage, mean over all requests")
    for stage in ("receive", "queue", "decode", "look_up", "generate", "run", "encode", "respond"):
        total, count = (
            float(values.get(f'recserve_stage_duration_seconds_{part}{{stage="{stage}"}}', 0))
            for part in ("sum", "count")
        )
        table.add_row(stage, f"{1e3 * total / max(count, 1):.3f}")
    console.print(table)


def difference(online: Scores, offline: pa.Table) -> float:
    """max |online - offline| over every known item and output."""
    worst = 0.0
    for name in online[0]:
        scored = np.concatenate([found[name] for found in online])
        known = offline["known"].to_numpy()
        worst = max(worst, float(np.abs(scored - offline[name].to_numpy())[known].max()))
    return worst


def texts(console: Console, seen: Seen, capture: Kept) -> None:
    """What the model saw of one item, as debug level 2 tells it, and where level 100 kept it."""
    item_id = seen.item_ids[0]
    console.print(f"debug level 2, item {item_id}", highlight=False)
    for what, by_item in (("columns ", seen.raw_features), ("features", seen.generate_features)):
        pieces = [
            piece for piece in by_item[item_id].split("|") if len(piece) < 24 and not piece.endswith(":")
        ]
        console.print(f"  {what}  {'  '.join(pieces[:5])}  …", highlight=False)
    console.print(f"debug level 100 kept {capture.path}", highlight=False)


def doors(console: Console, answers: list[Answer], expected: Mapping[str, list[float]]) -> float:
    """Which doors gave the scores that `eas_prediction` got, and how fast; returns the largest difference."""
    table = Table("door", "scores", "ms", title="one request by every door, beside eas_prediction")
    worst = 0.0
    for answer in answers:
        apart = max(
            float(np.abs(answer.scores[name] - np.asarray(scores, np.float32)).max())
            for name, scores in expected.items()
        )
        worst = max(worst, apart)
        table.add_row(answer.door, "equal" if apart == 0 else f"{apart:.1g} apart", f"{answer.ms:.1f}")
    console.print(table)
    return worst
