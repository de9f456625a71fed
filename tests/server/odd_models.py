"""TorchScript models that read one dense feature, `price`, and answer what engines of clients die of."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


class Answers(nn.Module):
    """Good and odd shapes and types of the same price, by name.

    What would fail the warm-up, where nothing is known of an item, is odd for items with a price alone.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        price = data["price.values"].view(-1)
        column = price.view(-1, 1)
        outputs = {"score": price}
        if self.kind == "vector":
            outputs = {"user_tower_emb": column.repeat(1, 4)}
        elif self.kind == "not_finite":
            outputs = {"score": torch.log(price - 2.0)}
        elif self.kind == "many":
            outputs = {
                "half": price.to(torch.float16),
                "brain": price.to(torch.bfloat16),
                "double": price.to(torch.float64),
                "column": column,
                "matrix": column.repeat(1, 3),
                "whole": price.to(torch.int64),
                "small": price.to(torch.int32),
                "yes": price > 1.5,
            }
        elif bool(price.sum() == 0.0):
            outputs = {"score": price}
        elif self.kind == "short":
            outputs = {"score": price[:1]}
        elif self.kind == "long":
            outputs = {"score": torch.cat([price, price])}
        elif self.kind == "scalar":
            outputs = {"score": price.sum()}
        elif self.kind == "no_values":
            outputs = {"score": column[:, :0]}
        return outputs


def save(kind: str, bundle: Path) -> None:
    """Script a model into a bundle, in place of the one that is there."""
    (bundle / "column_sum.json").unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Answers(kind)), bundle / "scripted_model.pt")
