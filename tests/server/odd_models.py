"""TorchScript models that read one dense feature, `price`, and answer what engines of clients die of."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


class Answers(nn.Module):
    """Good and odd shapes and types of the same price, by name."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        price = data["price.values"].view(-1)
        if self.kind == "vector":
            return {"user_tower_emb": price.view(-1, 1).repeat(1, 4)}
        if self.kind == "short":
            return {"score": price[:1]}
        if self.kind == "long":
            return {"score": torch.cat([price, price])}
        if self.kind == "scalar":
            return {"score": price.sum()}
        if self.kind == "no_values":
            return {"score": price.view(-1, 1)[:, :0]}
        if self.kind == "not_finite":
            return {"score": torch.log(price - 2.0)}
        return {
            "half": price.half(),
            "brain": price.bfloat16(),
            "double": price.double(),
            "column": price.view(-1, 1),
            "matrix": price.view(-1, 1).repeat(1, 3),
            "whole": price.long(),
            "small": price.int(),
            "yes": price > 1.5,
        }


def save(kind: str, bundle: Path) -> None:
    """Script a model into a bundle, in place of the one that is there."""
    (bundle / "column_sum.json").unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Answers(kind)), bundle / "scripted_model.pt")
