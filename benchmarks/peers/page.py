"""The figures of benchmarks/peers as a page."""

from __future__ import annotations

import math
import time
from typing import Any

from benchmarks.machine import table
from benchmarks.peers.servers import OURS, SERVERS
from benchmarks.peers.turns import COMPARED, LOAD, SATURATING, TOLERANCE, ratio

Figures = dict[str, Any]

COLUMNS = {
    "req/s": ("throughput", ".0f"),
    "CPU ms/request": ("cpu_ms", ".2f"),
    "p50 ms": ("p50_ms", ".2f"),
    "p99 ms": ("p99_ms", ".1f"),
    "RSS MB": ("rss_mb", ".0f"),
    "PSS MB": ("pss_mb", ".0f"),
}

#: workload, server, figure, its ratio to the best peer, at least or at most
TARGETS = (
    ("rank-200", "recserve", "throughput", "at least", 1.5),
    ("rank-200", "recserve", "p50_ms", "at most", 0.8),
    ("rank-200", "recserve", "p99_ms", "at most", 0.5),
    ("rank-200", "recserve", "rss_mb", "at most", 0.5),
    ("rank-200", "compiled", "throughput", "at least", 2.0),
    ("rank-200", "kept", "throughput", "at least", 3.0),
    ("rank-200", "compiled", "p50_ms", "at most", 0.6),
    ("rank-200", "compiled", "rss_mb", "at most", 0.7),
    ("tiny", "batching", "throughput", "at least", 1.5),
)


def page(figures: Figures, command: str) -> str:
    """The page."""
    found = figures["versions"]
    packages = ", ".join(f"{package} {version}" for package, version in found.items())
    return f"""# Beside others

Machine: {figures["machine"]}, load before the run {figures["load_before"]:.2f}.
Commit: {figures["commit"]}, {time.strftime("%Y-%m-%d")}. Command: `{command}`.
Peers: {packages}.

The apps in benchmarks/peers/apps serve the same TorchScript file as recserve does, behind features that are
written for the workload by hand in numpy, item features computed beforehand (benchmarks/peers/scoring.py).
Two workers each, one torch thread per worker. Before anything is timed, the scores of {COMPARED} requests
must be those of recserve within {TOLERANCE:g}.

Servers take turns; each is started anew in every round and alone on the machine but for the load generator,
which is the same for all. Medians over {figures["rounds"]} rounds. *req/s* and *CPU*: {SATURATING} callers
that never wait; *CPU* is that of all processes of the server. *p50*: one caller. *p99*: an open loop at the
same rate for all, {LOAD:.0%} of what the best peer reached in the first round. *RSS*: of all processes;
*PSS* counts what they share once. Ratios are to the peer that is best at that figure.

{chr(10).join(section(name, one) for name, one in figures["workloads"].items())}
## Targets

{targets_table(figures["workloads"])}
"""


def section(workload: str, found: Figures) -> str:
    """The table of a workload, and who is missing in it."""
    servers = found["servers"]
    rows = [
        [SERVERS[name].name, *(cell(one, key, form) for key, form in COLUMNS.values())]
        for name, one in sorted(servers.items(), key=lambda item: -item[1]["throughput"])
    ]
    rated = [name for name in OURS if name in servers]
    rows += [
        [
            f"{SERVERS[name].name} / best peer",
            *(shown(ratio(servers, name, key)) for key, _ in COLUMNS.values()),
        ]
        for name in rated
    ]
    rate = f"\np99 at {found['rate']:.0f} requests/s.\n" if found["rate"] else ""
    missing = "".join(
        f"\n{SERVERS[name].name} is left out: {why.splitlines()[0]}\n"
        for name, why in found["left_out"].items()
    )
    return f"## {workload}\n\n{table(['server', *COLUMNS], rows)}\n{rate}{missing}"


def cell(figures: dict[str, float], key: str, form: str) -> str:
    """A figure, or what its absence means."""
    if key not in figures:
        return ""
    return format(figures[key], form) if math.isfinite(figures[key]) else "does not keep up"


def shown(value: float) -> str:
    """A ratio."""
    return f"{value:.2f}" if math.isfinite(value) else ""


def verdicts(workloads: Figures) -> list[dict[str, Any]]:
    """Each target with what was reached; null and not met where it was not measured."""
    rows = []
    for workload, name, figure, side, target in TARGETS:
        value = ratio(workloads.get(workload, {}).get("servers", {}), name, figure)
        met = value >= target if side == "at least" else value <= target  # NaN is neither
        rows.append(
            {
                "figure": f"{workload}, {SERVERS[name].name}: {figure} / best peer",
                "target": f"{side} {target:g}",
                "measured": value if math.isfinite(value) else None,
                "met": met,
            }
        )
    return rows


def targets_table(workloads: Figures) -> str:
    """What was set out to reach, and what was reached."""
    return table(
        ["figure", "target", "measured", "met"],
        [
            [
                one["figure"],
                one["target"],
                "not measured" if one["measured"] is None else f"{one['measured']:.2f}",
                "yes" if one["met"] else "" if one["measured"] is None else "**no**",
            ]
            for one in verdicts(workloads)
        ],
    )
