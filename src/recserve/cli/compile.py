"""`recserve compile`: machine code of a bundle's model, if it answers the same."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.engines.compiled import Compiled


def compile(
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compile the model for this machine with AOTInductor.

    What is compiled has to answer drawn requests as the original does; otherwise nothing is written and the
    exit code is 1. Services take it at their next start, if it was faster. Needs a C++ compiler.
    """
    from recserve.bundle import Bundle
    from recserve.compile.bundle import STEPS, add_runner, compile_bundle
    from recserve.config.environment import export
    from recserve.config.service import load
    from recserve.processors.load import load_features

    spec = load(config)
    export(spec.envs)
    opened = Bundle.open(bundle)
    if opened.engine == "aot_export":
        typer.echo(
            f"{add_runner(opened, output=output)}: the runner of this export, which is compiled already"
        )
        return
    features = load_features(opened, spec) if opened.fg_path else None
    recorded = _recorded(samples) if samples else []
    with _steps(STEPS) as progress:
        made = compile_bundle(opened, features, samples=recorded, output=output, progress=progress)
    _show(made, as_json=as_json)


def _show(made: "Compiled", *, as_json: bool) -> None:
    verdict = "faster: services take it" if made.faster else "not faster: services keep the original"
    figures = [
        {
            "rows": speed.rows,
            "original ms": round(speed.original_ms, 3),
            "compiled ms": round(speed.compiled_ms, 3),
            "ratio": round(speed.ratio, 3),
        }
        for speed in made.speed
    ]
    if as_json:
        print_json(
            {"folder": str(made.folder), "parity": dict(made.parity), "speed": figures, "faster": made.faster}
        )
        return
    print_table(list(figures[0]), [list(row.values()) for row in figures], title="Processor time of one call")
    parity = made.parity
    typer.echo(
        f"{parity['requests']:.0f} requests answered alike: probabilities differ by at most "
        f"{parity['probability']:.2g}, other outputs by {parity['relative']:.2g} of their size"
    )
    typer.echo(f"{made.folder}: {verdict}")


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
def _steps(steps: tuple[str, ...]) -> "Iterator[Callable[[str], None]]":
    """A line on stderr for each step, with the seconds it takes: call it when a step begins."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        lines: list[Any] = []

        def begin(step: str) -> None:
            finish()
            lines.append(bars.add_task(f"{steps.index(step) + 1}/{len(steps)} {step}", total=1))

        def finish() -> None:
            if lines:
                bars.update(lines[-1], completed=1)

        yield begin
        finish()
