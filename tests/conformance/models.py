"""Models for tensors: what they are sent, in every type that a model may answer."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import torch
from torch import Tensor, nn


class Types(nn.Module):
    """`x` as every type that has a name in torch, by name."""

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        x = data["x"]
        return {
            "float": x.float(),
            "double": x.double(),
            "half": x.half(),
            "bfloat": x.to(torch.bfloat16),
            "flag": x > 1,
            "byte": x.to(torch.uint8),
            "int": x.int(),
            "long": x.long(),
            "rows": torch.stack([x.float(), -x.float()], 1),
            "total": x.float().sum(),
        }


class Twice(nn.Module):
    """Two arguments by position: their sums, and their doubles."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x.float() + y.float(), 2 * x.float()
