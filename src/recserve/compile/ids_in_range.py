"""An operator of our own: ids that a table does not have become 0, as fbgemm's bounds check has it.

Spelled out, the check of a joint lookup is a dozen operators over the ids of all features; as one operator it
can be split by feature. `spelled_out` is for graphs that are compiled.
"""

from __future__ import annotations

from recserve.engines.torch_arrays import torch


def spelled_out(indices: torch.Tensor, offsets: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Ids of table t are those between offsets[t * B] and offsets[(t + 1) * B], and less than rows[t].

    -1 is a row that was pruned and stays; all others that the table does not have become 0.
    """
    tables = rows.size(0)
    batch = (offsets.size(0) - 1) // tables
    ends = offsets[batch * torch.arange(1, tables + 1)]
    table = torch.bucketize(torch.arange(indices.size(0)), ends, right=True).clamp(max=tables - 1)
    absent = (indices < -1) | (indices >= rows[table])
    return torch.where(absent, torch.zeros_like(indices), indices)


@torch.library.custom_op("recserve::ids_in_range", mutates_args=())
def ids_in_range(indices: torch.Tensor, offsets: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """`spelled_out`, as one operator."""
    return spelled_out(indices, offsets, rows).clone()


@ids_in_range.register_fake
def _(indices: torch.Tensor, offsets: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(indices)
