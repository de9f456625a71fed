"""What figures were measured on, and how pages show them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil

RESULTS = Path(__file__).parent


def machine() -> str:
    """What the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GiB"


def commit() -> str:
    """The commit that was measured, and whether files differ from it."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True, check=True
    ).stdout.strip()


def record(name: str, title: str, command: str, text: str) -> None:
    """Write results-<name>.md: what was measured, on what, and how to measure it again."""
    page = f"""# {title}

Machine: {machine()}, load in the minutes before {psutil.getloadavg()[2]:.2f}.
Commit: {commit()}, {time.strftime("%Y-%m-%d")}. Command: `{command}`.

{text}
"""
    (RESULTS / f"results-{name}.md").write_text(page)


def recorded() -> list[tuple[str, str]]:
    """File and title of every page that `record` or another benchmark has written."""
    pages = sorted(RESULTS.glob("results-*.md"))
    return [(path.name, path.read_text().partition("\n")[0].removeprefix("# ")) for path in pages]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
