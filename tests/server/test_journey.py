"""One request, watched: which modules it passes, in which order, and that Python is free meanwhile."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from tests.gil import beside_others
from tests.processors.conftest import service_of, write_bundle
from tests.server import models
from tests.server.conftest import Running, running_bundle

import recserve
from recserve.bundle import Bundle
from recserve.columns import Batch, batch_from_arrow, column_from_arrow
from recserve.config import service
from recserve.messages import ScoreRequest
from recserve.observe.trace import Trace
from recserve.processors.load import load
from recserve.processors.normal import Normal
from recserve.wire import torchrec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

HOME = Path(recserve.__file__).parent

#: The verbs, in the order of the journey.
JOURNEY = [
    "server/app.py",
    "wire/torchrec.py",  # decode
    "processors/normal.py",
    "items/keeper.py",  # which store serves
    "items/rows.py",
    "features/generator.py",
    "engines/torchscript.py",
    "wire/torchrec.py",  # encode
]
#: Who stands at the door before the journey, and who holds the watch. They see bytes and clocks, no features.
DOOR_AND_WATCH = {"wire/compression.py", "observe/trace.py"}
#: What the event loop passes: HTTP, the door, the counts. No part that knows features, items or models.
LOOP = {"server", "observe", "wire/auth.py"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = write_bundle(tmp_path_factory.mktemp("journey"))
    (bundle / "column_sum.json").unlink()
    models.save(models.Busy(), bundle)
    return bundle


class Profile:
    """Calls from one module of recserve into another, by thread, while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.steps: dict[str, list[tuple[str, str]]] = {}  # thread → (caller's module, module)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if not self.on or event != "call":
            return
        module, caller = module_of(frame), module_of(frame.f_back)
        if module and module != caller:
            self.steps.setdefault(threading.current_thread().name, []).append((caller, module))


def module_of(frame: FrameType | None) -> str:
    if frame is None or not frame.f_code.co_filename.startswith(str(HOME)):
        return ""
    return str(Path(frame.f_code.co_filename).relative_to(HOME))


def part_of(module: str) -> str:
    return module.partition("/")[0]


@pytest.fixture(scope="module")
def profiled(bundle: Path) -> Iterator[tuple[Running, Profile]]:
    profile = Profile()
    threading.setprofile(profile)
    try:
        with running_bundle(bundle, service_of(), worker_threads=1) as server:
            yield server, profile
    finally:
        threading.setprofile(None)


def test_a_request_passes_exactly_the_seven_modules_of_the_journey_in_their_order(
    profiled: tuple[Running, Profile],
) -> None:
    """A module is on the way if a call enters its part from another part with the request in hand.

    Help inside a part (the engines' shared checks, the plan of the generator) does not change it.
    """
    server, profile = profiled
    body = torchrec.encode_request(request(3))
    profile.on = True
    response = server.http.request("POST", "/api/predict/rank", body=body, headers={"Authorization": "token"})
    profile.on = False

    assert response.status == 200
    (worker,) = [steps for thread, steps in profile.steps.items() if thread.startswith("recserve-worker")]
    entered = [module for caller, module in worker if part_of(caller) != part_of(module)]
    entered = ["server/app.py", *(module for module in entered if module not in DOOR_AND_WATCH)]
    way = [module for before, module in zip(["", *entered], entered, strict=False) if module != before]
    assert [module for module in way if module in JOURNEY] == way
    assert way == JOURNEY
    assert len(set(way)) == 7


def test_the_event_loop_never_enters_features_items_or_models(profiled: tuple[Running, Profile]) -> None:
    _, profile = profiled

    on_loop = {
        module
        for thread, steps in profile.steps.items()
        if not thread.startswith("recserve-worker")
        for _, module in steps
    }

    assert {"server/app.py", "server/protocol.py", "server/workers.py"} <= on_loop
    assert {module for module in on_loop if module not in LOOP and part_of(module) not in LOOP} == set()


def request(rows: int) -> ScoreRequest:
    ids = column_from_arrow(pa.array([f"i{row % 3 + 1}" for row in range(rows)]))
    user = batch_from_arrow({"taste": pa.array(["5"]), "likes": pa.array(["a:0.5\x1db:0.25"])})
    context = batch_from_arrow({"hour": pa.array(np.arange(rows).astype(str))})
    return ScoreRequest(user, ids, context, Batch(rows), rows)


# --- the GIL ---


def test_other_threads_run_during_decode_look_up_generate_run_and_encode(bundle: Path) -> None:
    rank = load(Bundle.open(bundle), service.load(service_of(), {}, base_dir=bundle.parent))
    assert isinstance(rank, Normal)
    rows = 300_000
    body = torchrec.encode_request(request(rows))
    decoder = torchrec.Decoder()
    with closing(rank):
        asked = beside_others(lambda: decoder.decode(body))
        with rank.items.pin() as pinned:
            items = beside_others(lambda: pinned.gather(asked.item_ids, rows=rows))
        inputs = beside_others(
            lambda: rank.features.generate(
                asked.user, asked.context, items.raw, items.finished, {}, rows=rows
            )
        )
        outputs = beside_others(lambda: rank.engine.run(inputs, rows=rows))
        response = rank.score(asked, Trace())
        beside_others(lambda: torchrec.encode(response))

    assert len(outputs["score"]) == rows
