"""Machine code of models whose sizes AOTInductor has trouble with."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
from pathlib import Path
from typing import Any

import fbgemm_gpu  # noqa: F401  its operators
import numpy as np
import torch
from tests.compile.bundles import CompiledBundle
from torch import Tensor, nn

from recserve.compile.export import export
from recserve.compile.package import write_package
from recserve.engines.aotinductor import AotInductor
from recserve.engines.compiled import PACKAGE, RUNNER, Compiled, Machine
from recserve.engines.torch_runner import TorchRunner


class Longest(nn.Module):
    """Steps of each row, padded to the longest, in one layer with the item's."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(4, 8)
        self.item = nn.Linear(4, 8)
        self.output = nn.Linear(8, 1)

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        lengths = data["clicks.lengths"]
        longest = int(torch.max(lengths).item())
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
        steps = torch.ops.fbgemm.jagged_to_padded_dense(data["clicks.values"], [offsets], [longest], 0.0)
        hidden = torch.relu(self.step(steps) + self.item(data["item.values"]).unsqueeze(1))
        return {"probs": torch.sigmoid(self.output(hidden).sum(1).squeeze(1))}


def inputs(lengths: list[int]) -> dict[str, Any]:
    random = np.random.default_rng(len(lengths))
    return {
        "clicks.lengths": np.array(lengths),
        "clicks.values": random.standard_normal((sum(lengths), 4), np.float32),
        "item.values": random.standard_normal((len(lengths), 4), np.float32),
    }


def test_a_size_that_the_graph_computes_is_no_hindrance(
    tmp_path: Path, compiled_rank: CompiledBundle
) -> None:
    torch.manual_seed(0)
    script: Any = torch.jit.script(Longest().eval())
    exported = export(script, inputs([3, 0, 4, 1, 2]))

    write_package(exported, tmp_path / PACKAGE, packed=True)

    made = Compiled(
        tmp_path, "aotinductor", Machine.this(), "", exported.inputs, exported.tables, exported.outputs,
        parity={}, speed=(), faster=True, created="",
    )  # fmt: skip
    runner = TorchRunner(compiled_rank.made.folder / RUNNER, tmp_path / PACKAGE, 1)
    engine = AotInductor(made, runner, [], outputs=(), features=None, limits={})
    for lengths in ([1], [2], [1, 1], [0, 5], [3, 1, 2, 7]):
        given = inputs(lengths)
        expected = script({name: torch.from_numpy(array) for name, array in given.items()})["probs"]
        result = engine.run_arrays(given)["probs"]
        np.testing.assert_allclose(result, expected.detach().numpy(), rtol=0, atol=1e-6)
