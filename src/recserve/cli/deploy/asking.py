"""What the commands that ask a control plane have in common: which one, how to print, whom they mean.

    @asking
    def desc(plane: Plane, service: Service) -> None: ...

Their options may stand before the command as well, as users of eascmd write them; access keys, which that
one needs, are taken and left alone.
"""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve.deploy.client import ControlClient

#: Where options that stand before the command are kept for it.
BEFORE = "recserve.deploy"


class Output(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


Endpoint: TypeAlias = Annotated[
    str,
    typer.Option(
        "--endpoint",
        "-e",
        help="URL of the control plane; by default RECSERVE_ENDPOINT, or the one of this machine.",
        show_default=False,
    ),
]
Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help='Another folder of state, or a file of {"url": …, "token": …}.',
        show_default=False,
    ),
]
KeyId: TypeAlias = Annotated[str, typer.Option("-i", hidden=True)]
KeySecret: TypeAlias = Annotated[str, typer.Option("-k", hidden=True)]
Format: TypeAlias = Annotated[Output, typer.Option("--output", "-o", help="How results are printed.")]
ServiceName: TypeAlias = Annotated[
    str, typer.Argument(help="Its name; region/name is taken, too.", metavar="SERVICE", show_default=False)
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wait: TypeAlias = Annotated[
    bool, typer.Option(help="Follow it until it is as asked; the exit code is 1 if it does not get there.")
]
Timeout: TypeAlias = Annotated[float, typer.Option(min=0, help="Seconds to follow it at most.")]
File: TypeAlias = Annotated[
    Path | None, typer.Option("--file", "-s", help="A JSON file; - is stdin.", show_default=False)
]
Assign: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "-D", help="key.below=value, as often as needed; \\. is a dot in a key.", metavar="KEY=VALUE"
    ),
]
TIMEOUT_S = 900.0

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "endpoint": (Endpoint, ""),
    "config": (Config, None),
    "output": (Format, Output.table),
    "key_id": (KeyId, ""),
    "key_secret": (KeySecret, ""),
}


class Plane:
    """The control plane that a command asks, and the way to print what it answers."""

    def __init__(self, endpoint: str, config: Path | None, output: Output) -> None:
        self._endpoint = endpoint
        self._config = config
        self.as_json = output is Output.json

    @cached_property
    def client(self) -> "ControlClient":
        """Asks it."""
        from recserve.deploy.client import ControlClient

        return ControlClient.found(self._endpoint, context=self._config)

    def show(self, answer: "Mapping[str, Any]") -> None:
        """One thing: JSON as it was answered, or names and values."""
        from recserve.cli.output import print_json, print_pairs

        values = {key: value for key, value in answer.items() if key != "RequestId"}
        if self.as_json:
            print_json(values)
        else:
            print_pairs({key: _cell(value) for key, value in values.items()})

    def show_service(self, answer: "Mapping[str, Any]") -> None:
        """What a change has made of a service: JSON as it was answered, or the gist."""
        if self.as_json:
            self.show(answer)
            return
        self.show(
            {
                "Service": answer["ServiceName"],
                "Status": answer["Status"],
                "Version": answer["CurrentVersion"],
                "Instances": f"{answer['RunningInstance']} of {answer['TotalInstance']} ready",
                **({"Message": answer["Message"]} if answer["Message"] else {}),
            }
        )

    def show_rows(self, rows: "Sequence[Mapping[str, Any]]", columns: "Mapping[str, str]") -> None:
        """Several things; `columns`: the keys that a table has, and their titles."""
        from recserve.cli.output import print_json, print_table

        if self.as_json:
            print_json(list(rows))
        else:
            cells = [[_cell(row.get(key, "")) for key in columns] for row in rows]
            print_table(tuple(columns.values()), cells)


def asking(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all that ask; its first argument is the Plane that they name."""
    own = list(inspect.signature(function).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, keyword, annotation=annotation, default=default)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    context = inspect.Parameter("context", keyword, annotation=typer.Context)

    @wraps(function)
    def command(**given: Any) -> None:
        before = given.pop("context").meta.get(BEFORE, {})
        options = {name: given.pop(name) for name in _OPTIONS}
        output = options["output"]
        plane = Plane(
            options["endpoint"] or before.get("endpoint", ""),
            options["config"] or before.get("config"),
            before.get("output", output) if output is Output.table else output,
        )
        if "yes" in given:
            given["yes"] = given["yes"] or before.get("yes", False)
        function(plane, **given)

    every = [context, *(one.replace(kind=keyword) for one in own), *shared]
    command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in every}
    return command


def named(service: str) -> str:
    """A service's name; users of the hosted product write its region before it."""
    return service.rpartition("/")[2]


def document_of(file: Path) -> dict[str, Any]:
    """A JSON object of a file, or of stdin, with the file's own relative paths made absolute."""
    import sys

    from recserve.config.document import parse_json, read_json
    from recserve.deploy.paths import absolute

    if str(file) == "-":
        return absolute(parse_json(sys.stdin.read(), "stdin"), Path.cwd())
    return absolute(read_json(file), file.absolute().parent)


def given(file: Path | None, assign: list[str] | None) -> dict[str, Any]:
    """What -s and -D say together; -D wins."""
    from recserve.deploy.assignment import assigned, laid_over

    document = document_of(file) if file is not None else {}
    return laid_over(document, assigned(assign or []))


def confirm(question: str, yes: bool) -> None:
    """Ask a person; without one, -y has to be said."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} There is nobody to ask; say -y")
    typer.confirm(question, default=False, abort=True, err=True)


def tell_remarks(answer: "Mapping[str, Any]") -> None:
    """What a person should know of keys that do nothing here."""
    for remark in answer.get("Remarks") or ():
        typer.echo(f"remark: {remark}", err=True)


def _cell(value: Any) -> Any:
    import json

    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
