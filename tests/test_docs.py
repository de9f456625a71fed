"""The pages under docs/ are true: what the code has stands in them, and what they show runs."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import re
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from tests.markdown import (
    PAGES,
    ROOT,
    Fence,
    anchors,
    code_spans,
    fences,
    links,
    prose,
    shell_lines,
    table_rows,
)
from tests.page_run import PAGE_URL, PageRun, check_options
from tools.reference import BLOCKS, renewed
from typer.testing import CliRunner

import recserve.client.errors
import recserve.config
import recserve.errors
from recserve.bundle import MODEL_FILES
from recserve.cli.app import app
from recserve.config import hosted_keys, service
from recserve.config.reference import reference
from recserve.config.sections import SECTIONS, Section
from recserve.config.settings import settings
from recserve.errors import ConfigError, RecserveError
from recserve.features import bucketize
from recserve.features.config import load
from recserve.features.types import FEATURE_TYPES
from recserve.observe.trace import STAGES
from recserve.processors.debug import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    import typer

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
#: Pages that a reader follows from top to bottom.
FOLLOWED = [
    *sorted(DOCS.glob("tutorial*.md")),
    DOCS / "how-to.md",
    DOCS / "move-from-hosted.md",
    *sorted(REFERENCE.glob("*.md")),
]
#: Metrics of services that follow tables, look users up or export spans, which that of the pages does not.
ONLY_SOMETIMES = {
    "recserve_compiled_on",
    "recserve_compiled_calls_total",
    "recserve_compiled_failures_total",
    "recserve_compiled_checks_total",
    "recserve_compiled_largest_difference",
    "recserve_item_results",
    "recserve_item_results_asked_total",
    "recserve_item_results_bypassed_total",
    "recserve_item_results_bytes",
    "recserve_item_results_evicted_total",
    "recserve_item_results_on",
    "recserve_shared_calls_total",
    "recserve_shared_requests_total",
    "recserve_spans_dropped_total",
    "recserve_item_watermark_seconds",
    "recserve_item_lag_seconds",
    "recserve_user_look_ups_total",
    "recserve_user_gets_total",
    "recserve_user_cache_rows",
    "recserve_user_cache_bytes",
}
#: Files that a command of the project writes, and that a checkout may lack.
WRITTEN = {ROOT / "benchmarks" / "results.md": "make bench"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRun]:
    with PageRun(tmp_path_factory.mktemp("docs")) as running:
        yield running


# --- what pages show --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_python_prints_what_the_page_says_and_commands_work(
    run: PageRun, monkeypatch: pytest.MonkeyPatch, page: Path
) -> None:
    monkeypatch.chdir(run.folder)

    for fence in fences(page, "python", "sh"):
        if fence.language == "python":
            printed = run.python(fence)
            assert printed == (fence.output or ""), f"{fence} prints {printed!r}"
        else:
            for line in fence.commands():
                run.shell(line)


@pytest.mark.parametrize("fence", [f for page in PAGES for f in fences(page, "json")], ids=str)
def test_json_is_what_the_code_reads(fence: Fence) -> None:
    document = json.loads(fence.text)
    if "sequence_name" in document:
        assert [f.name for f in load({"features": [document]}).features] == [
            f"{document['sequence_name']}__{member['feature_name']}" for member in document["features"]
        ]
    elif "features" in document:
        assert load(document).features
    elif _is_service_file(document):
        assert service.load(document, {}).warnings == ()
    else:
        assert document.keys() & {"item_ids", "stages_ms"}, f"{fence}: a kind of JSON that no test reads"


def _is_service_file(document: dict[str, Any]) -> bool:
    return bool(document.keys() & {"name", "token", "metadata", "model_config", "processor_envs"})


@pytest.mark.parametrize("fence", fences(DOCS / "add-a-feature-type.md", "py", "cpp"), ids=str)
def test_code_that_a_page_quotes_stands_in_the_file_that_it_names(fence: Fence) -> None:
    above = "\n".join(fence.page.read_text().splitlines()[: fence.line])
    *_, named = re.findall(r"`((?:src|cpp|tests)/[\w./]+)`", above)

    quoted, lines = _lines(fence.text), _lines((ROOT / named).read_text())
    assert any(
        lines[at : at + len(quoted)] == quoted for at, line in enumerate(lines) if line == quoted[0]
    ), f"{fence}: {named} has no such lines"


def test_every_model_file_stands_in_the_table_of_bundles() -> None:
    files = "".join(row[0] for row in table_rows(REFERENCE / "bundle.md"))

    assert set(MODEL_FILES) <= set(re.findall(r"`([^`]+)`", files))


def _lines(text: str) -> list[str]:
    """Lines as they may stand elsewhere: without indent and blank ones."""
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() or target in WRITTEN, f"{link}: there is no {target}"
        assert not anchor or anchor in anchors(target), f"{link}: {path} has {sorted(anchors(target))}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_that_pages_name_exist(page: Path) -> None:
    for span in code_spans(page):
        if re.fullmatch(r"[\w.-]+/[\w./-]+\.(py|md|h|cc|json|toml)", span) and not span.startswith(
            ("build/", ".demo/")
        ):
            roots = (ROOT, ROOT / "src" / "recserve", page.parent)
            known = any((root / span).exists() for root in roots) or ROOT / span in WRITTEN
            assert known, f"{name_of(page)} names {span}"


def test_a_file_that_native_code_points_readers_to_exists() -> None:
    headers = [*(ROOT / "cpp").rglob("*.h"), *(ROOT / "cpp").rglob("*.cc")]
    named = {name for path in headers for name in re.findall(r"docs/[\w/]+\.md", path.read_text())}

    assert "docs/reference/missing.md" in named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_tutorial_shows_what_check_and_serve_print(run: PageRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.folder)
    shown = (DOCS / "tutorial.md").read_text()
    arguments = ["check", ".demo/bundle", "--config", ".demo/service.json"]

    found = re.findall(r"^✓ ([\w ]+):", CliRunner().invoke(app, arguments).stdout, re.MULTILINE)
    named = re.findall(r"^✓ ([\w ]+):", shown, re.MULTILINE)

    assert [name for name in named if name != "torch and fbgemm"] == found  # a model of sums needs no torch
    ready_at = run.server.url.replace(run.server.base_url, PAGE_URL)
    assert f"recserve: '{run.server.name}' is ready at {ready_at}\n" in shown


def test_the_tutorial_on_features_shows_the_plan(run: PageRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.folder)
    shown = (DOCS / "tutorial-features.md").read_text()

    table = CliRunner().invoke(app, ["features", "plan", "fg.json"]).stdout
    picture = CliRunner().invoke(app, ["features", "plan", "fg.json", "--mermaid", "-"]).stdout

    assert "\n".join(line.rstrip() for line in table.splitlines()) in shown
    assert f"```mermaid\n{picture}```" in shown


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_says_of_the_code_is_what_the_code_says(page: Path) -> None:
    assert renewed(page.read_text()) == page.read_text(), "`make reference` writes it anew"


def test_every_block_that_can_be_made_stands_in_a_page() -> None:
    text = "".join(page.read_text() for page in PAGES)

    assert [name for name in BLOCKS if f"<!-- made of the code: {name} -->" not in text] == []


# --- what the code has ------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_setting_has_a_sentence_and_stands_in_the_reference(section: Section) -> None:
    page = reference()

    for key, (known, _) in settings(section.record).items():
        assert re.fullmatch(r"[A-Za-z0-9].{10,}[.]", known.sentence), f"{key}: {known.sentence!r}"
        assert f"| `{key}` | " in page
        assert known.sentence in page


def test_every_section_with_settings_is_in_the_reference() -> None:
    names = [module.name for module in pkgutil.iter_modules(recserve.config.__path__, "recserve.config.")]
    found = {
        value
        for module in map(importlib.import_module, names)
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and settings(value)
    }

    assert found == {section.record for section in SECTIONS}


def test_every_key_of_the_hosted_product_is_in_the_reference() -> None:
    page = reference()
    for table in (hosted_keys.ACCEPTED, hosted_keys.REFUSED):
        for where, keys in table.items():
            for key in keys:
                assert f"`{where}.{key}`" in page or (not where and f"`{key}`" in page), f"{where}.{key}"


def test_every_feature_type_has_a_row() -> None:
    rows = [row[0].strip("`") for row in table_rows(REFERENCE / "features.md")]

    assert [name for name in rows if name in FEATURE_TYPES] == list(FEATURE_TYPES)


def test_every_bucketizer_normalizer_and_function_is_described() -> None:
    spans = set(code_spans(REFERENCE / "features.md"))
    named = {span.split()[0] for span in spans}
    unknown_function = {
        "feature_type": "expr_feature",
        "feature_name": "f",
        "expression": "nothing(a)",
        "variables": ["user:a"],
    }
    unknown_method = {
        "feature_type": "raw_feature",
        "feature_name": "f",
        "expression": "user:a",
        "normalizer": "method=nothing",
    }

    assert set(bucketize.KEYS) <= named
    assert _known(unknown_function) <= named
    assert _known(unknown_method) <= named


def _known(feature: dict[str, Any]) -> set[str]:
    """The names that an error about an unknown one lists."""
    from recserve.features.generator import Generator

    with pytest.raises(ConfigError) as error:
        Generator(load({"features": [feature]}))
    return set(str(error.value).rpartition("known: ")[2].split(", "))


def test_the_trees_of_errors_are_the_ones_of_the_code() -> None:
    page = (REFERENCE / "errors.md").read_text()

    assert _tree(page, recserve.errors) == _tree(recserve.errors.__doc__ or "", recserve.errors)
    assert _tree(page, recserve.client.errors) == _tree(
        recserve.client.errors.__doc__ or "", recserve.client.errors
    )


def _tree(text: str, module: ModuleType) -> list[str]:
    """The names of the drawn tree, checked against the classes of `module`: all, parents, statuses."""
    found = [value for value in vars(module).values() if isinstance(value, type)]
    errors = [value for value in found if issubclass(value, RecserveError)]
    classes = {value.__name__: value for value in errors if value.__module__ == module.__name__}
    path: list[str] = []
    drawn = []
    for indent, name, status in re.findall(r"^([│├└─ ]*)(\w+Error)\b +(\d{3})?", text, re.MULTILINE):
        if name not in classes:
            continue
        depth = len(indent) // 4
        path = [*path[:depth], name]
        drawn.append(name)
        assert depth == 0 or classes[name].__base__ is classes[path[-2]], f"{name} stands below {path[-2]}"
        if status and module is recserve.errors:
            assert classes[name].status == int(status), name
    assert set(drawn) == set(classes)
    return drawn


def test_every_debug_level_is_in_its_table() -> None:
    rows = [row for row in table_rows(REFERENCE / "debug.md") if row[0].isdigit()]

    assert rows == [
        [
            str(level.number),
            level.sentence,
            "yes" * level.predicts,
            "yes" * level.raw,
            level.generated,
            "yes" * level.inputs,
            level.checks,
            "yes" * level.captured,
            "yes" * level.logs_stages,
            "yes" * level.reports_missing,
        ]
        for level in LEVELS.values()
    ]


def test_every_status_is_in_the_protocol() -> None:
    described = {row[0] for row in table_rows(REFERENCE / "protocol.md")}
    errors = [value for value in vars(recserve.errors).values() if isinstance(value, type)]

    assert {str(error.status) for error in errors if issubclass(error, RecserveError)} <= described


def test_the_metrics_of_a_server_are_the_ones_of_the_page(run: PageRun) -> None:
    text = urllib3.request("GET", f"{run.server.base_url}/metrics").data.decode()
    exposed = set(re.findall(r"^# HELP (recserve_\w+)", text, re.MULTILINE))
    described = {row[0].strip("`").partition("{")[0] for row in table_rows(REFERENCE / "metrics.md")}

    assert {name for name in described if name.startswith("recserve_")} == exposed | ONLY_SOMETIMES


def test_metrics_that_pages_ask_for_exist() -> None:
    described = {row[0].strip("`").partition("{")[0] for row in table_rows(REFERENCE / "metrics.md")}
    for page in PAGES:
        for name in re.findall(r"\brecserve_\w+", prose(page)):
            assert name in described or name.removesuffix("_bucket") in described, f"{name_of(page)}: {name}"


def test_stages_are_described_in_their_order() -> None:
    rows = [row[0].strip("`") for row in table_rows(REFERENCE / "metrics.md")]

    assert tuple(name for name in rows if not name.startswith("recserve_")) == STAGES


def test_every_command_is_shown_to_a_reader() -> None:
    lines = {line for page in PAGES for line in shell_lines(page) if line.startswith("recserve ")}
    commands = list(_commands("recserve", app))

    assert [name for name in commands if not any(f"{line} ".startswith(f"{name} ") for line in lines)] == []


def _commands(prefix: str, group: typer.Typer) -> Iterator[str]:
    """All commands by what a person types, those of groups too."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{prefix} {command.name or command.callback.__name__}"
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _commands(f"{prefix} {inner.typer_instance.info.name}", inner.typer_instance)


@pytest.mark.parametrize(
    "line",
    sorted({line for page in PAGES for line in shell_lines(page) if line.startswith("recserve ")}),
)
def test_options_of_commands_exist(line: str) -> None:
    check_options(line.partition(" > ")[0].split()[1:])
