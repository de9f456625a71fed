"""The project's Markdown pages as tests see them: code fences, links and the paths that they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "conformance" / "README.md"])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code, and what the page says that it prints."""

    page: Path
    line: int  # of the page, from 1
    language: str
    text: str
    output: str | None  # of a fence `output` that follows at once

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """The lines of a shell fence, without comments."""
        lines = (re.sub(r"\s+# .*", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line]


def fences(page: Path, *languages: str) -> list[Fence]:
    """The fences of a page in these languages, in order."""
    text = page.read_text()
    found = list(_FENCE.finditer(text))
    result = []
    for place, match in enumerate(found):
        following = found[place + 1] if place + 1 < len(found) else None
        printed = (
            following[2]
            if following and following[1] == "output" and not text[match.end() : following.start()].strip()
            else None
        )
        if match[1] in languages:
            line = text.count("\n", 0, match.start()) + 1
            result.append(Fence(page, line, match[1], match[2], printed))
    return result


def shell_lines(page: Path) -> list[str]:
    """The command lines of a page, each once."""
    return list(dict.fromkeys(line for fence in fences(page, "sh") for line in fence.commands()))


def prose(page: Path) -> str:
    """A page without its fences."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Targets of the links of a page."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """What links may name behind `#`: headings, as web pages of repositories spell them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_spans(page: Path) -> list[str]:
    """What stands in backticks."""
    return _SPAN.findall(prose(page))


def table_rows(page: Path) -> list[list[str]]:
    """The cells of all table rows of a page, those below the line of dashes."""
    rows, inside = [], False
    for line in prose(page).splitlines():
        if re.fullmatch(r"\|[-| ]+\|", line):
            inside = True
        elif line.startswith("|") and inside:
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif not line.startswith("|"):
            inside = False
    return rows
