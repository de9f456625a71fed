from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.processors.conftest import SUMS

from recserve.bundle import Bundle
from recserve.config import service
from recserve.errors import RequestError
from recserve.messages import TensorRequest
from recserve.observe.trace import Trace
from recserve.processors.bypass import Bypass
from recserve.processors.load import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def rank(bundle: Path) -> Bypass:
    processor = load(Bundle.open(bundle), service.load({"name": "rank"}, {}))
    assert isinstance(processor, Bypass)
    return processor


def tensors(rows: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    floats = {
        name: np.ones((rows, 1), np.float32) for name in ("price.values", "likes.values", "hour.values")
    }
    ids = {
        name: np.full(rows, 1, np.int64)
        for name in ("taste.values", "taste.lengths", "tags.values", "tags.lengths")
    }
    return {**floats, **ids}


def test_a_clients_own_tensors_are_run(rank: Bypass) -> None:
    trace = Trace()

    result = rank.predict(TensorRequest((), tensors(2)), trace)

    assert result.named_outputs["score"].tolist() == [4, 4]
    assert trace.rows == 2
    assert list(trace.wall_ns) == ["run"]


def test_an_id_that_no_table_has_is_refused_by_the_limits_of_fg_json(rank: Bypass) -> None:
    sent = tensors(2)
    sent["taste.values"][1] = 100

    with pytest.raises(RequestError, match="taste"):
        rank.predict(TensorRequest((), sent))


def test_a_sample_has_every_input_of_the_model(rank: Bypass) -> None:
    sample = rank.sample(3)

    assert set(sample.named_inputs) == {name for names in SUMS.values() for name in names}
    assert len(rank.predict(sample).named_outputs["score"]) == 3


def test_the_signature_names_tensors(rank: Bypass) -> None:
    signature = rank.signature()

    assert {entry.name for entry in signature.inputs} == {name for names in SUMS.values() for name in names}
    assert [entry.name for entry in signature.outputs] == ["score", "tags"]
