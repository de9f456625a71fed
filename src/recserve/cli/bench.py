"""`recserve bench`: the latency and throughput that callers of a running service see."""

from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recserve.cli import target
from recserve.cli.output import print_json, print_pairs, progress_bar

if TYPE_CHECKING:
    from collections.abc import Generator

    from recserve.client.load import LoadResult
    from recserve.config.service import ServiceSpec
    from recserve.source import Source

#: Of each table: enough for made-up requests to be different.
_IDS = 100_000


def bench(
    requests: Annotated[
        Path,
        typer.Argument(
            help="What to send, in turn: a .jsonl file of requests as for `recserve score`, a .pb file "
            "or a folder of them (encoded requests), or a bundle, for which requests are made up.",
            show_default=False,
        ),
    ],
    *,
    url: target.Url = target.DEFAULT_URL,
    name: target.Name = "",
    token: target.Token = "",
    config: target.Config = None,
    service: target.Deployed = "",
    rate: Annotated[
        float | None,
        typer.Option(
            help="Requests per second (open loop); without it callers wait for answers (closed loop)."
        ),
    ] = None,
    constant: Annotated[
        bool, typer.Option("--constant", help="Evenly spaced arrivals instead of random ones (Poisson).")
    ] = False,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-n", min=1, help="Callers, or with --rate the most connections.")
    ] = 1,
    duration: Annotated[float, typer.Option("--duration", "-d", help="Seconds to measure.")] = 10.0,
    count: Annotated[
        int | None, typer.Option(help="Stop after so many requests.", show_default=False)
    ] = None,
    warm_up: Annotated[float, typer.Option(help="Seconds of load before it is measured.")] = 1.0,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request has failed.")] = 5.0,
    rows: Annotated[int, typer.Option(min=1, help="Items per made-up request.")] = 100,
    seed: Annotated[int, typer.Option(help="Of made-up requests and random arrivals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send load to a running service and print percentiles.

    Latencies of an open loop count from when a request was due, so a stall counts for all that it delays.
    """
    from recserve.client.load import LoadPlan, run_load
    from recserve.client.request import read_bodies

    if service:
        urls, token = target.deployed(service, token)
    else:
        named = target.target(url, name, token, config)
        urls, token = [named.service_url], named.token
    bodies = (
        _made_up(requests, config, rows, seed)
        if requests.joinpath("fg.json").exists()
        else read_bodies(requests)
    )
    plan = LoadPlan(
        duration_s=duration,
        requests=count,
        concurrency=concurrency,
        rate=rate,
        arrivals="constant" if constant else "poisson",
        warm_up_s=warm_up,
        timeout_s=timeout,
        seed=seed,
    )
    headers = {"Authorization": token} if token else {}
    with progress_bar(f"load on {service or urls[0]}") as show:
        result = run_load(urls, bodies, plan, headers=headers, progress=lambda share: show(share, 1.0))
        show(1.0, 1.0)
    if as_json:
        print_json(result.to_json())
    else:
        _print(result)
    if result.answered == 0:
        raise typer.Exit(1)


def _made_up(path: Path, config: Path | None, rows: int, seed: int) -> list[bytes]:
    """Requests made up for the columns of a bundle; ids are those of the item table, where there is one."""
    from recserve.bundle import Bundle
    from recserve.cli.columns import request_columns
    from recserve.client.sample import sample_requests
    from recserve.config.service import load
    from recserve.processors.load import load_features, schema_of
    from recserve.wire.torchrec import encode_request

    spec, bundle = load(config), Bundle.open(path)
    features = load_features(bundle, spec)
    schema = request_columns(features, schema_of(bundle))
    clicked = {key.column: key.length for key in features.sequence_keys.values()}
    beside = {
        source.name: (feature.feature.delimiter or ";", feature.feature.length)
        for feature in features.plan.features
        for source in feature.inputs
        if feature.feature.group is not None and source.source == "user" and source.sequence
    }
    items = _item_ids(spec)
    samples = sample_requests(
        schema, items, rows=rows, count=64, seed=seed, clicked=clicked, beside_clicks=beside
    )
    return [encode_request(sample) for sample in samples]


def _item_ids(spec: "ServiceSpec") -> list[str]:
    """The first ids of the item tables."""
    from recserve.processors.item_tables import tables_of

    ids: dict[str, None] = {}
    with tables_of(spec) as tables:
        for table in tables:
            with closing(_ids(table.source)) as found:
                ids |= dict.fromkeys(islice(found, _IDS))
    return list(ids)


def _ids(source: "Source") -> "Generator[str, None, None]":
    for batch in source.snapshot([]):
        yield from (str(item) for item in batch.column(source.key).to_pylist())


def _print(result: "LoadResult") -> None:
    print_pairs(
        {
            "loop": result.loop,
            "requests": result.requests,
            "answered": result.answered,
            "failures": ", ".join(f"{kind}: {times}" for kind, times in result.failures.items()) or "none",
            "seconds": round(result.duration_s, 2),
            "answers per second": round(result.throughput, 1),
            "mean ms": round(result.mean_ms, 3),
            "p50 ms": round(result.p50_ms, 3),
            "p90 ms": round(result.p90_ms, 3),
            "p99 ms": round(result.p99_ms, 3),
            "p99.9 ms": round(result.p999_ms, 3),
            "max ms": round(result.max_ms, 3),
        }
    )
    if result.late_ms > 1:
        typer.echo(
            f"the generator was {result.late_ms:.1f} ms late itself (p99): this machine is too busy",
            err=True,
        )
