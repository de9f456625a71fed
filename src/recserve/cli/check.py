"""`recserve check`: everything that would fail at start, before it does."""

from collections import Counter
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recserve.cli.findings import FailedError, Report
from recserve.engines import WITH_TORCH

if TYPE_CHECKING:
    from recserve.bundle import Bundle
    from recserve.config.service import ServiceSpec
    from recserve.engines.engine import Engine
    from recserve.features.generator import Generator
    from recserve.items.keeper import Keeper
    from recserve.items.store import ItemStore
    from recserve.processors.item_tables import ItemTable


def check(
    path: Annotated[
        Path, typer.Argument(help="An exported model directory, or a service file.", show_default=False)
    ],
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The service file to serve it with.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a bundle, a service file or both; exit code 1 if the service would not start."""
    bundle, service_file = (None, path) if path.suffix == ".json" else (path, config)
    report = Report(as_json=as_json)
    with suppress(FailedError):
        _check_all(report, bundle, service_file)
    report.end()


def _check_all(report: Report, path: Path | None, service_file: Path | None) -> None:
    """Check from the outside in."""
    spec = read_service_file(report, service_file)
    for warning in spec.warnings:
        report.note("service file", None, warning)
    if spec.rpc.tls_certificate:
        report.attempt("TLS", lambda: check_tls(spec))
    if path is None:
        check_tables(report, spec)
        return
    bundle = report.attempt("bundle", lambda: open_bundle(path))
    if bundle.engine in WITH_TORCH:
        report.attempt("torch and fbgemm", check_torch_pair)
    if spec.model.generates_features(bundle.fg_path is not None):
        features = report.attempt("features", lambda: _features(bundle, spec))
        laid_out, engine = report.attempt("model", lambda: check_model(bundle, spec))
        features = laid_out or features  # as the model wants them
        items = report.attempt("items", lambda: _items(report, bundle, features, spec))
        report.attempt("answer", lambda: _answer(items, features, engine))
        return
    report.attempt("model", lambda: check_model(bundle, spec))
    if bundle.fg_path is not None:
        report.note("features", None, "the bundle has an fg.json, and fg_mode bypass does not use it")


def read_service_file(report: Report, path: Path | None) -> "ServiceSpec":
    """Check the service file, or none: all defaults. What it conceals no finding shows from then on."""
    from recserve.config.service import load

    def read() -> tuple["ServiceSpec", str]:
        spec = load(path)
        report.secrets = spec.secrets
        return spec, f"'{spec.name}', fg_mode {spec.model.fg_mode}" if path else "none given, all defaults"

    return report.attempt("service file", read)


def check_tls(spec: "ServiceSpec") -> tuple[None, str]:
    """Load the certificate and its key."""
    from datetime import UTC, datetime

    from recserve.server.tls import tls, validities

    loaded = tls(spec.rpc, spec.base_dir)
    assert loaded is not None  # a certificate is named
    ends = min((end for _, end in validities(loaded.pems.certificate)), default=0.0)
    return None, f"{spec.rpc.tls_certificate}, valid until {datetime.fromtimestamp(ends, UTC):%Y-%m-%d}"


def check_tables(report: Report, spec: "ServiceSpec") -> None:
    """Reach every item table and look at its columns; no row is read. Goes on after a failure."""
    from recserve.processors.item_tables import open_tables

    tables = report.attempt_quietly("item tables", lambda: open_tables(spec))
    for table in tables:
        with closing(table.source), suppress(FailedError):
            report.attempt("item table", partial(_table, table))


def _table(table: "ItemTable") -> tuple[None, str]:
    source = table.source
    rows, columns = source.rows(), len(source.schema().names)
    told = f"{rows} rows" if rows else "rows not counted"
    return None, f"{source.name}: {told}, {columns} columns, key '{source.key}'"


def open_bundle(path: Path) -> tuple["Bundle", str]:
    """Look what the directory holds."""
    from recserve.bundle import Bundle
    from recserve.processors.load import schema_of

    bundle = Bundle.open(path)
    schema_of(bundle)
    return bundle, f"{bundle.model_path.name}, run by the engine {bundle.engine}"


def check_torch_pair() -> tuple[None, str]:
    """Try the two libraries that TorchScript models need, in a process of their own."""
    from recserve.engines import torch_pair

    return None, torch_pair.check()


def _features(bundle: "Bundle", spec: "ServiceSpec") -> tuple["Generator", str]:
    from recserve.processors.load import load_features, tile_of

    features = load_features(bundle, spec)
    rates = Counter(feature.rate for feature in features.plan.features)
    by_rate = ", ".join(f"{count} {rate}" for rate, count in sorted(rates.items()))
    return features, f"{rates.total()} ({by_rate}), INPUT_TILE {tile_of(bundle, spec)}"


def check_model(bundle: "Bundle", spec: "ServiceSpec") -> tuple[tuple["Generator | None", "Engine"], str]:
    """Load the model and compare what it reads with what the features send."""
    from recserve.processors.load import load_model
    from recserve.processors.what_runs import described

    features, engine, *_ = load_model(bundle, spec)
    fit = "" if features is None else ", which the features send"
    compiled = "; compiled" if described(engine)["compiled"] == "yes" else ""
    return (features, engine), f"reads {len(engine.inputs)} tensors{fit}{compiled}"


def _items(
    report: Report, bundle: "Bundle", features: "Generator", spec: "ServiceSpec"
) -> tuple["Keeper | ItemStore", str]:
    from recserve.processors.item_tables import missing_columns, tables_of
    from recserve.processors.load import schema_of, silent
    from recserve.processors.load_items import load_items

    with tables_of(spec) as tables:
        names = ", ".join(table.source.name for table in tables)
        lacking = missing_columns(features, tables)
    if tables and lacking:
        verb = "lacks" if len(tables) == 1 else "lack"
        report.note("items", None, f"{names} {verb} columns that features read: {', '.join(lacking)}")
    items = load_items(features, spec, silent, declared=schema_of(bundle))
    if tables:
        return items, f"{items.figures().rows} rows of {names}"
    return items, "no table; requests bring the item columns"


def _answer(items: "Keeper | ItemStore", features: "Generator", engine: "Engine") -> tuple[None, str]:
    from recserve.processors.normal import Normal

    with closing(Normal(items, features, engine)) as processor:
        outputs = processor.score(processor.sample(2)).outputs
    return None, f"outputs {', '.join(outputs)}"
