"""`recserve compile`: a bundle's model made faster, if it answers the same."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.output import print_json, print_table
from recserve.cli.serve import OWN_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.compile.bundle import Progress
    from recserve.engines.compiled import Compiled, Speed, Variant


#: The exit code where the model was made faster, but not in every way that was asked for.
NOT_ALL = 3


def compile(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="The exported model directory.", show_default=False)],
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The service file, for its environment.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write compiled/ here instead of into the bundle.", show_default=False),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="A folder of recorded request bodies (.pb) to compare answers for, where no fg.json tells "
            "what requests look like.",
            show_default=False,
        ),
    ] = None,
    aot: Annotated[
        bool,
        typer.Option("--aot", help="Make machine code by AOTInductor. Needs a C++ compiler, and minutes."),
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Make all there is, by either way, and keep what is fastest here.")
    ] = False,
    item_results: Annotated[
        bool,
        typer.Option(
            "--item-results", help="Also what servers need to keep results of items (`item_results`)."
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Name the operators that cost most, and what became of them."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make the model faster: what depends on the user alone is computed once, for all candidates.

    What is made has to answer drawn requests as the original does; otherwise nothing is written and the exit
    code is 1. It is 3 where something was written, but the model could not be computed at its own rates.
    Services take what was made at their next start, if it was faster.
    """
    from recserve.allocator import relaunch, tune_allocator
    from recserve.bundle import Bundle
    from recserve.config.environment import export, process_environ
    from recserve.config.service import load

    spec = load(config)
    if context.obj == OWN_PROCESS:  # what is fastest depends on the allocator, so that of servers
        relaunch(spec.rpc.allocators, process_environ())
        tune_allocator()
    # Before torch is there: answers are also compared for ids out of range, and it would tell of each.
    export({"TORCH_CPP_LOG_LEVEL": "FATAL"} | dict(spec.envs))
    from recserve.compile.bundle import AOTINDUCTOR, TORCHSCRIPT, add_runner, compile_bundle, steps
    from recserve.processors.load import load_features

    opened = Bundle.open(bundle)
    if opened.engine == "aot_export":
        typer.echo(
            f"{add_runner(opened, output=output)}: the runner of this export, which is compiled already"
        )
        return
    features = load_features(opened, spec) if opened.fg_path else None
    recorded = _recorded(samples) if samples else []
    engines = (TORCHSCRIPT, AOTINDUCTOR) if tune else (AOTINDUCTOR,) if aot else (TORCHSCRIPT,)
    with _told(steps(engines, item_results=item_results)) as progress:
        made = compile_bundle(
            opened,
            features,
            samples=recorded,
            output=output,
            engines=engines,
            item_results=item_results,
            progress=progress,
        )
    _show(made, explain=explain, as_json=as_json)
    if made.not_understood or any(variant.why_not for variant in made.variants):
        raise typer.Exit(NOT_ALL)


def _show(made: "Compiled", *, explain: bool, as_json: bool) -> None:
    from recserve.compile.report import explain as costly
    from recserve.compile.report import predict

    if as_json:
        print_json(
            {
                "folder": str(made.folder),
                "graph": made.graph,
                "engine": made.engine,
                "packed": made.packed,
                "predicted": predict(made.steps, made.rows).figures() if made.steps else None,
                "not_understood": made.not_understood,
                "parity": dict(made.parity),
                "speed": _figures(made.speed),
                "variants": [
                    {"graph": one.graph, "engine": one.engine, "packed": one.packed, "why_not": one.why_not}
                    | {"speed": _figures(one.speed)}
                    for one in made.variants
                ],
                "faster": made.faster,
            }
        )
        return
    raced = [one for one in made.variants if one.speed]
    rows = [
        [speeds[0].rows, f"{speeds[0].original_ms:.3f}"]
        + [f"{speed.compiled_ms:.3f} ({speed.ratio:.2f} x)" for speed in speeds]
        for speeds in zip(*(one.speed for one in raced), strict=True)
    ]
    print_table(["rows", "original", *map(str, raced)], rows, title="Processor time of one call, ms")
    if len(raced) > 2:
        typer.echo(_drawn(raced))
    if explain and made.steps:
        typer.echo(costly(made.steps))
    if made.not_understood:
        typer.echo(f"not understood, so nothing is computed once per user: {made.not_understood}")
    for variant in made.variants:
        if variant.why_not:
            typer.echo(f"refused: {variant}: {variant.why_not}")
    parity = made.parity
    typer.echo(
        f"{parity['requests']:.0f} requests answered alike: probabilities differ by at most "
        f"{parity['probability']:.2g}, other outputs by {parity['relative']:.2g} of their size"
    )
    verdict = "faster: services take it" if made.faster else "not faster: services keep the original"
    typer.echo(f"{made.folder} ({made.variant}): {verdict}")


def _drawn(variants: "Sequence[Variant]") -> str:
    """Times of one call as bars, those of one size to one scale."""
    width = max(len(str(variant)) for variant in variants)
    lines = []
    for speeds in zip(*(variant.speed for variant in variants), strict=True):
        times = {"original": speeds[0].original_ms}
        times |= {str(variant): speed.compiled_ms for variant, speed in zip(variants, speeds, strict=True)}
        lines.append(f"{speeds[0].rows} rows")
        lines += [
            f"  {name:<{width}}  {'█' * max(1, round(40 * time / max(times.values())))} {time:.2f} ms"
            for name, time in times.items()
        ]
    return "\n".join(lines)


def _figures(speeds: "Sequence[Speed]") -> "list[dict[str, float]]":
    return [
        {
            "rows": speed.rows,
            "original ms": round(speed.original_ms, 3),
            "compiled ms": round(speed.compiled_ms, 3),
            "ratio": round(speed.ratio, 3),
        }
        for speed in speeds
    ]


def _recorded(folder: Path) -> list[dict[str, Any]]:
    """The tensors of recorded requests."""
    from recserve.errors import RequestError
    from recserve.wire.tensors import decode

    found = []
    for path in sorted(folder.glob("*.pb")):
        try:
            found.append(dict(decode(path.read_bytes()).named_inputs))
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from error
    return found


@contextmanager
def _told(names: tuple[str, ...]) -> "Iterator[Progress]":
    """On stderr: how far it is, a line for each step with the seconds it takes, and what is found."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    from recserve.compile.bundle import Progress

    columns = (BarColumn(20), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        all_of_it = bars.add_task("", total=len(names))
        started: list[Any] = []

        def begin(step: str) -> None:
            finish()
            bars.update(all_of_it, completed=names.index(step))
            started.append(bars.add_task(step, total=1))

        def finish() -> None:
            if started:
                bars.update(started[-1], completed=1)

        yield Progress(begin, lambda line: bars.console.print(line, highlight=False, markup=False))
        finish()
        bars.update(all_of_it, completed=len(names))
