"""Bundles with a rewritten model, made by hand: what `recserve compile` writes, without a compiler.

The rewritten model is `Rank` as an export with INPUT_TILE has it, which takes users once and gives the same
bits; its embedding table is empty in the file and comes from the original.
"""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import json
from pathlib import Path
from typing import Any

import torch
from tests.engines import models

from recserve.bundle import Bundle
from recserve.engines.compiled import (
    FOLDER,
    RATES,
    SCRIPT,
    Compiled,
    Machine,
    Speed,
    sha256_of,
)
from recserve.engines.engine import TensorSpec, tensors

USERS = ("user_id.values", "user_id.lengths", "clicks__item_id.values", "clicks__item_id.lengths")


class Rewritten(models.Rank):
    """`Rank` with its table to be set; `away`: with another bias, as a wrong rewrite might have it."""

    def __init__(self, away: float = 0.0) -> None:
        super().__init__(tile=True)
        del self._buffers["weights"]
        self.register_buffer("table_0", torch.empty(0, dtype=torch.uint8))
        with torch.no_grad():
            self.head.bias.add_(away)

    @property
    def weights(self) -> Any:  # type: ignore[override]
        return self.table_0


def write(folder: Path, *, tile: bool = False, away: float = 0.0, faster: bool = True) -> Bundle:
    """A bundle with fg.json, its model and what was made of it."""
    models.write_rank(folder, tile=tile)
    (folder / "fg.json").write_text(json.dumps(models.rank_features()))
    made = folder / FOLDER / Machine.this().key
    models.write(made, Rewritten(away), traced=True)
    (made / "scripted_model.pt").rename(made / SCRIPT)
    Compiled(
        made,
        "torchscript",
        Machine.this(),
        sha256_of(folder / "scripted_model.pt"),
        {
            name: TensorSpec(array.dtype.name, array.ndim)
            for name, array in tensors(models.rank_inputs(2, tile=True)).items()
        },
        ("weights",),
        ("logits", "probs_ctr", "probs_cvr"),
        parity={"requests": 25, "probability": 1.2e-7, "relative": 3e-7},
        speed=(Speed(200, 2.0, 1.0),),
        faster=faster,
        created="2026-11-21T00:00:00+00:00",
        graph=RATES,
        users_once=True,
        users=USERS,
        repeats=not tile,
    ).write()
    return Bundle.open(folder)
