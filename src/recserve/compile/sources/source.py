"""The contract of a source: a loaded export, as it is served and as a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from recserve.compile.asked import Drawn, Given
    from recserve.compile.export import Exported
    from recserve.engines.guarded import Original
    from recserve.engines.sizes import Size


class Source(Protocol):
    """One model, loaded once: engines and graphs share its tensors."""

    @property
    def module(self) -> Any:
        """The loaded model, whose tensors lie at dotted paths."""

    @property
    def inputs(self) -> Collection[str]:
        """Names of the tensors that it reads."""

    @property
    def sizes(self) -> Mapping[str, Size]:
        """First sizes as the model states them, of the inputs of which these are not any."""

    def engine(self) -> Original:
        """An engine that has answered nothing yet, on the CPU."""

    def graph(self, requests: Drawn | Given) -> Exported:
        """The flat graph, for all sizes that requests may have; BundleError where there is none."""
