from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Doubler, running, running_bundle

from recserve.config import service
from recserve.errors import BundleError, RequestError
from recserve.server.serve import Server

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.messages import TensorRequest


class Refusing(Doubler):
    """Takes nothing that was made up."""

    def sample(self, rows: int) -> TensorRequest:
        raise RequestError(f"{rows} rows of what?")


def test_a_model_that_does_not_take_made_up_tensors_is_served_without_warm_up() -> None:
    with running(Refusing) as rank:
        assert rank.post().status == 200


def test_a_model_with_features_that_cannot_answer_unknown_items_is_refused() -> None:
    class Strict(Refusing):
        answers: Any = "features"
        schema = None
        types_if_missing = None

    server = Server(service.load({"name": "rank"}, {}), lambda progress: Strict())

    with pytest.raises(BundleError, match="cannot answer a request of 1 unknown items"):
        uvloop.run(server.main())


def test_warm_up_is_not_counted_as_requests(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of()) as rank:
        assert rank.metric("recserve_requests_total") == 0
        assert rank.metric("recserve_item_rows") == 3
