"""What checks found: a line each, ✓ ! or ✗, as they find it, or all of it as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

import typer

from recserve.cli.output import print_json
from recserve.config.concealed import blotted
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")

_MARKS = {True: "✓", False: "✗", None: "!"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `ok` is None for a remark that keeps nobody from starting."""

    check: str
    ok: bool | None
    detail: str


class FailedError(Exception):
    """A check failed, and was reported; those that stand on it are not tried."""


class Report:
    """What was found so far."""

    def __init__(self, *, as_json: bool) -> None:
        self.findings: list[Finding] = []
        #: What no finding shows, once it is known.
        self.secrets: Collection[str] = ()
        self._as_json = as_json

    @property
    def failed(self) -> bool:
        """Something is in the way."""
        return any(finding.ok is False for finding in self.findings)

    def note(self, check: str, ok: bool | None, detail: str) -> None:
        """Keep a finding, and print it."""
        detail = blotted(detail, self.secrets)
        self.findings.append(Finding(check, ok, detail))
        if not self._as_json:
            typer.echo(f"{_MARKS[ok]} {check}: {detail}")

    def attempt(self, check: str, work: Callable[[], tuple[T, str]]) -> T:
        """Do one check, which gives its result and what to say of it; an error of ours is what it found."""
        result, detail = self.attempt_quietly(check, work)
        self.note(check, True, detail)
        return result

    def attempt_quietly(self, check: str, work: Callable[[], T]) -> T:
        """Do what a check stands on, and say something only if it fails."""
        try:
            return work()
        except RecserveError as error:
            self.note(check, False, str(error))
            raise FailedError from error

    def end(self, **more: object) -> None:
        """Print the JSON, with what else it has, if that is wanted; exit code 1 if something failed."""
        if self._as_json:
            findings = [asdict(finding) for finding in self.findings]
            print_json({"ok": not self.failed, "findings": findings, **more})
        raise typer.Exit(int(self.failed))
