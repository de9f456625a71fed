"""Training on features that recserve generated: the same code and fg.json that serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from model import Embedder, Layout, Towers
from rich.progress import track
from rows import auc

from recserve.columns import batch_from_arrow
from recserve.engines.torch_arrays import share

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor

    from recserve.features.generator import Generator

ROWS = 4096  # of one training batch

Features = list[dict[str, "Tensor"]]


def generate(generator: Generator, table: pa.Table, description: str) -> Features:
    """The model's input tensors for every row of `table`, in batches of ROWS."""
    starts = track(range(0, table.num_rows, ROWS), description=description)
    return [share(generator.generate_joined(batch_from_arrow(table.slice(start, ROWS)))) for start in starts]


def train(layout: Layout, features: Features, table: pa.Table, *, epochs: int) -> tuple[Embedder, Towers]:
    """Fit both tasks: clicks on every row, purchases on the rows that were clicked."""
    torch.manual_seed(7)
    embedder, towers = Embedder(layout), Towers(layout)
    parameters = [*embedder.parameters(), *towers.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    click, buy = (torch.split(torch.from_numpy(label), ROWS) for label in labels(table))
    order = [batch for _ in range(epochs) for batch in torch.randperm(len(features)).tolist()]
    for batch in track(order, description="training the model  "):
        scores = towers(embedder(features[batch]))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores["logits_ctr"], click[batch])
        bought = torch.nn.functional.binary_cross_entropy_with_logits(
            scores["logits_cvr"], buy[batch], weight=click[batch], reduction="sum"
        )
        loss = loss + bought / click[batch].sum().clamp(min=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return embedder.eval(), towers.eval()


def labels(table: pa.Table) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Clicks and purchases of the rows, 0 or 1."""
    return table["click"].to_numpy().astype(np.float32), table["buy"].to_numpy().astype(np.float32)


def best_single_feature(
    layout: Layout, train: Features, test: Features, clicks: tuple[NDArray[np.int32], ...]
) -> tuple[str, float]:
    """The feature that alone ranks the test rows best, and its AUC.

    An id stands for the click rate that training rows with it had; a number for itself, either way up.
    """
    found = {
        name: single_auc(encoded(name, size, train, test, clicks[0]), clicks[1])
        for name, size in ids(layout).items()
    }
    for name in layout.dense:
        found[name] = single_auc(
            torch.cat([batch[f"{name}.values"][:, 0] for batch in test]).numpy(), clicks[1]
        )
    return max(found.items(), key=lambda item: item[1])


def ids(layout: Layout) -> dict[str, int]:
    """Sparse features with the size of their id space, clicked ones included."""
    return layout.buckets | dict(zip(layout.clicked_names(), layout.clicked.values(), strict=True))


def encoded(
    name: str, size: int, train: Features, test: Features, clicks: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Mean click rate of the ids of each test row, smoothed towards the overall rate."""
    values, lengths = flat(name, train)
    rate = clicks.mean()
    clicked = np.bincount(values, weights=np.repeat(clicks, lengths), minlength=size) + 20 * rate
    rates = clicked / (np.bincount(values, minlength=size) + 20)
    values, lengths = flat(name, test)
    sums = np.bincount(
        np.repeat(np.arange(len(lengths)), lengths), weights=rates[values], minlength=len(lengths)
    )
    return np.where(lengths > 0, sums / np.maximum(lengths, 1), rate)


def flat(name: str, features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and lengths of a feature over all batches."""
    parts = [
        torch.cat([batch[f"{name}.{part}"] for batch in features]).numpy() for part in ("values", "lengths")
    ]
    return parts[0], parts[1]


def single_auc(score: NDArray[np.float64], clicks: NDArray[np.int32]) -> float:
    """AUC of a number whichever way up it ranks better."""
    area = auc(clicks, score)
    return max(area, 1 - area)
