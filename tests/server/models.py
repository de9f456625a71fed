"""Small TorchScript models that take their time."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


class Busy(nn.Module):
    """Reads the features of the small bundle, and computes a while."""

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        price = data["price.values"]
        rows = price.view(-1, 1) + torch.zeros(price.size(0), 4)
        for _ in range(10):
            rows = torch.tanh(rows + 1e-3)
        ids = data["taste.values"].sum() + data["taste.lengths"].sum()
        ids = ids + data["tags.values"].sum() + data["tags.lengths"].sum()
        score = price.view(-1) + data["likes.values"].view(-1) + data["hour.values"].view(-1)
        return {"score": score + 0.0 * rows.sum() + 0.0 * ids}


class Endless(nn.Module):
    """Answers zeros, and never comes back from anything else."""

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        x = data["x.values"]
        while bool(x.sum() != 0):
            x = x * 1.0
        return {"y": x}


def save(model: nn.Module, bundle: Path) -> None:
    """Script a model into a bundle."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(model), bundle / "scripted_model.pt")
