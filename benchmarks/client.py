"""Building a request: our client beside the EAS Python SDK, for the same 1,000 items and 20 columns.

    python -m benchmarks.client [--items 1000] [--rounds 15]

The SDK takes its values one by one, as its documentation shows, in an environment of its own (`.venv-eas`),
where protobuf is the old one that it asks for; on Python 3.11 that one is written in Python. So the same
calls are measured with today's protobuf too, whose messages are native ("calls"). All sides take turns, round
by round, in processes that are warm; each builds bytes from the same Python lists, and ours also from numpy
arrays. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.machine import commit, machine, record, table

from recserve.client import RequestBuilder
from recserve.wire.descriptors import message_class
from recserve.wire.torchrec import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
PBFeature = message_class("com.alibaba.pairec.processor.PBFeature")
MEMBERS = {"DOUBLE": "double_feature", "INT64": "long_feature", "STRING": "string_feature"}

#: What the other side runs: build what it is told, again for each line, and answer with seconds.
SDK = """
import json, sys, time
from eas_prediction.torchrec_request import TorchRecRequest

def build(content):
    request = TorchRecRequest()
    for name, value, kind in content["user"]:
        request.add_user_fea(name, value, kind)
    for item in content["items"]:
        request.add_item_id(item)
    for side, add in (("context", request.add_context_fea), ("item", request.add_item_fea)):
        for name, (kind, values) in content[side].items():
            for value in values:
                add(name, value, kind)
    return request.to_string()

content = json.loads(sys.stdin.readline())
build(content)
print(build(content).hex(), flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    build(content)
    print(time.perf_counter() - begin, flush=True)
"""


def main() -> None:
    """Measure, check that all sides said the same, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    content = made_up(arguments.items)
    arrays = as_arrays(content)
    sides: dict[str, Callable[[], bytes]] = {
        "recserve, lists": lambda: build(content),
        "recserve, numpy": lambda: build(arrays),
        "calls, native protobuf": lambda: call(content),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("EAS SDK", *sides)}
    python = ROOT / ".venv-eas/bin/python"
    with subprocess.Popen(
        [python, "-c", SDK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sdk:
        assert sdk.stdin is not None
        assert sdk.stdout is not None
        sdk.stdin.write(json.dumps(content) + "\n")
        sdk.stdin.flush()
        expected = read(bytes.fromhex(sdk.stdout.readline()))
        for name, side in sides.items():
            assert read(side()) == expected, name
        for _ in range(arguments.rounds):
            sdk.stdin.write("again\n")
            sdk.stdin.flush()
            seconds["EAS SDK"].append(float(sdk.stdout.readline()))
            for name, side in sides.items():
                begin = time.perf_counter()
                side()
                seconds[name].append(time.perf_counter() - begin)
        sdk.stdin.close()
    report(arguments.items, {name: 1e3 * statistics.median(all_) for name, all_ in seconds.items()})


def made_up(items: int) -> dict[str, Any]:
    """Columns of numbers and texts, half of the context and half of the items."""
    rng = np.random.default_rng(0)
    columns = {
        **{f"real_{k}": ("DOUBLE", rng.random(items).tolist()) for k in range(8)},
        **{f"whole_{k}": ("INT64", rng.integers(0, 10**6, items).tolist()) for k in range(6)},
        **{f"text_{k}": ("STRING", [f"v{v}" for v in rng.integers(0, 1000, items)]) for k in range(6)},
    }
    names = list(columns)
    return {
        "user": [["user_id", "u1", "STRING"], ["age", 33, "INT64"], ["clicks", ["a"] * 50, "LIST<STRING>"]],
        "items": [f"i{k}" for k in range(items)],
        "context": {name: columns[name] for name in names[::2]},
        "item": {name: columns[name] for name in names[1::2]},
    }


def as_arrays(content: dict[str, Any]) -> dict[str, Any]:
    """The same with numpy's columns, as a feature service has them; texts are objects."""
    kinds = {"DOUBLE": np.float64, "INT64": np.int64, "STRING": object}
    sides = {
        side: {name: (kind, np.array(values, kinds[kind])) for name, (kind, values) in content[side].items()}
        for side in ("context", "item")
    }
    return {**content, **sides}


def build(content: dict[str, Any]) -> bytes:
    """Ours: whole columns."""
    return (
        RequestBuilder()
        .user({name: value for name, value, _ in content["user"]})
        .items(content["items"], {name: values for name, (_, values) in content["item"].items()})
        .context({name: values for name, (_, values) in content["context"].items()})
        .encode()
    )


def call(content: dict[str, Any]) -> bytes:
    """What the SDK does for each value, on native messages."""
    request = PBRequest()
    for name, value, kind in content["user"]:
        feature = PBFeature()
        if kind in MEMBERS:
            setattr(feature, MEMBERS[kind], value)
        else:
            feature.string_list.features.extend(value)
        request.user_features[name].CopyFrom(feature)
    for item in content["items"]:
        request.item_ids.append(str(item))
    for columns, side in ((request.context_features, "context"), (request.item_features, "item")):
        for name, (kind, values) in content[side].items():
            member = MEMBERS[kind]
            for value in values:
                feature = PBFeature()
                setattr(feature, member, value)
                columns[name].features.add().CopyFrom(feature)
    body: bytes = request.SerializeToString()
    return body


def read(body: bytes) -> Any:
    """What a body says, however it says it."""
    assert Decoder().decode(body).rows
    return PBRequest.FromString(body)


def report(items: int, median_ms: dict[str, float]) -> None:
    sdk, ours = median_ms["EAS SDK"], median_ms["recserve, lists"]
    rows = [[name, f"{ms:.2f}", f"{sdk / ms:.1f}"] for name, ms in median_ms.items()]
    shown = table(["builds a request", "ms (median)", "times the SDK's speed"], rows)
    print(shown, file=sys.stderr)
    record("client", f"Building a request of {items} items", "make bench-client", shown)
    figures = {
        "machine": machine(),
        "commit": commit(),
        "items": items,
        "median_ms": {name: round(ms, 3) for name, ms in median_ms.items()},
        "times_faster_than_sdk": round(sdk / ours, 1),
        "times_faster_than_calls_on_native_protobuf": round(median_ms["calls, native protobuf"] / ours, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
