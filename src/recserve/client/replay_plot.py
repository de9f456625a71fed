"""A picture of a replay: latencies of the services beside one another, and how far scores are apart.

The one file of the client that needs matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.client.replay import Report

_COLOURS = ("#9aa4b2", "#1f6feb")
#: Differences below this are drawn as this: a logarithm has no place for 0.
_SMALLEST = 1e-12


def draw(report: Report, file: Path) -> None:
    """Write a PNG, or what else the suffix says. Raises ConfigError without matplotlib."""
    two = len(report.services) == 2
    figure = _figure_class()(figsize=(12 if two else 6, 4), layout="constrained")
    axes = figure.subplots(1, 2 if two else 1, squeeze=False)[0]
    _draw_latencies(axes[0], report)
    if two:
        _draw_differences(axes[1], report)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'recserve[plots]'") from error
    return Figure


def _draw_latencies(axis: Any, report: Report) -> None:
    """The share of requests that were answered within so many milliseconds."""
    for place, service in enumerate(report.services):
        latencies = report.latencies(place)
        if len(latencies):
            shares = np.arange(1, len(latencies) + 1) / len(latencies)
            axis.step(latencies, shares, where="post", color=_COLOURS[place], label=_plain(service.url))
    axis.set_xscale("log")
    axis.set_xlabel("latency, ms")
    axis.set_ylabel("share of requests")
    if axis.has_data():
        axis.legend(fontsize=7)


def _draw_differences(axis: Any, report: Report) -> None:
    """The largest difference of each request, by output, beside what is allowed."""
    names = list(report.outputs())
    for place, name in enumerate(names):
        apart = [
            request.differences[name].largest for request in report.requests if name in request.differences
        ]
        finite = np.maximum([value for value in apart if np.isfinite(value)], _SMALLEST)
        spread = np.linspace(-0.3, 0.3, len(finite)) if len(finite) > 1 else np.zeros(len(finite))
        axis.scatter(place + spread, finite, s=6, color=_COLOURS[1], alpha=0.5)
    if report.limits.tolerance > 0:
        axis.axhline(report.limits.tolerance, color="#d1242f", linewidth=1)
    axis.set_yscale("log")
    axis.set_xticks(range(len(names)), [_plain(name) for name in names], fontsize=7)
    axis.set_ylabel("largest difference of a score")


def _plain(text: str) -> str:
    """Text that matplotlib draws as it is: $ would start a formula."""
    return text.replace("$", r"\$")
