"""Runs what `recserve compile` made of a model, and beside it the original, for all that it does not fit.

                 ┌─ fits ─────────▶ rewritten ──────────────────────────▶ outputs
    ModelInputs ─┤                      └─ 1 in N, later ─▶ original ─▶ difference ─▶ switched off
                 └─ anything else ▶ original (user rows repeated, where it reads them so) ─▶ outputs

A rewritten model computes what depends on the user once, so it takes requests of one user: every tensor of
user features has one row. A request that is not like that, or that the rewritten model fails for, is answered
by the original: slower, never wrong. Embedding tables are the same memory in both. See `Engine` for the
contract.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from recserve.engines import find, sizes
from recserve.engines.aotinductor import AotInductor
from recserve.engines.engine import Engine, NoRows, answer, check_deadline
from recserve.engines.first_sizes import FirstSizes
from recserve.engines.flat_script import load_flat
from recserve.engines.later import Later
from recserve.engines.parity import NO_DIFFERENCE, Difference, difference
from recserve.engines.torch_arrays import device_of
from recserve.engines.torchscript import TorchScript, set_threads
from recserve.errors import DeadlineError, RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs, TensorNames
    from recserve.engines.compiled import Compiled
    from recserve.engines.engine import TensorSpec
    from recserve.messages import TensorRequest, TensorResponse

    Outputs = dict[str, NDArray[Any]]
    #: A model, with a request's inputs.
    Call = Callable[[], Outputs]

logger = logging.getLogger("recserve.compiled")

#: The first calls are answered by both, one after the other: those of the warm-up, which the original needs
#: as well, and which tell at once if the two do not fit together.
FIRST_CALLS = 3
#: So many failures in a row, of requests that the original answers, are not those of odd requests.
MOST_FAILURES = 20


class TensorEngine(Engine, Protocol):
    """An engine whose checks of a caller's tensors, and whose call with them, are apart."""

    def accepted(self, request: TensorRequest) -> dict[str, NDArray[Any]]:
        """The tensors of a request by name; RequestError for all that could upset native code."""

    def run_arrays(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs for tensors that were accepted."""


class Original(TensorEngine, Protocol):
    """The engine of an export, of which something was made: it has the embedding tables of both."""

    @property
    def module(self) -> Any:
        """The loaded model, whose tensors lie at dotted paths."""


@dataclass(frozen=True, slots=True)
class Users:
    """What a rewritten model takes for granted of its inputs."""

    tensors: frozenset[str]  # of user features: one row for all
    sequences: frozenset[str]  # F.lengths of sequences, of users and of items: at least one step in each row

    @classmethod
    def of(cls, made: Compiled) -> Self:
        """What a record says, where there are no features that could; members of S are named S__F."""
        steps = [name for name in made.inputs if name.endswith(".lengths") and "__" in name]
        return cls(frozenset(made.users), frozenset(steps))


@dataclass(frozen=True, slots=True)
class Figures:
    """Plain counts since the start."""

    rewritten: int = 0  # calls that the rewritten model answered
    original: int = 0  # calls that the original answered
    alike: int = 0  # re-scored calls, by outcome
    different: int = 0
    failed: int = 0  # the original failed for what the rewritten model had answered
    dropped: int = 0  # due, but another one was still in work
    failures: int = 0  # calls that the rewritten model failed for, and the original answered
    largest: Difference = NO_DIFFERENCE
    switched_off: str = ""  # why; "" as long as the rewritten model answers


class Guarded:
    """A rewritten model with its original behind it. Calls share both, and release the GIL."""

    def __init__(
        self,
        original: Original,
        rewritten: TensorEngine,
        users: Users | None,
        *,
        repeats: bool = False,
        check_every: int = 0,
        sizes: FirstSizes | None = None,
        reads: Mapping[str, TensorSpec] | None = None,
    ) -> None:
        """`users`: None where the rewritten model takes whatever the original takes.

        `repeats`: the original reads the user's features in every row, and inputs have them once.
        `check_every`: one call in so many is scored by the original too; 0: none but the first. `sizes`: what
        the original is right for, where that is not every size. `reads`: what the rewritten model takes.
        """
        self.original, self.rewritten = original, rewritten
        self.sizes, self._reads = sizes or FirstSizes({}), reads or {}
        self._users, self._repeats, self._check_every = users, repeats, check_every
        self._layout: UserLayout | None = None
        self._no_rows = NoRows()
        self._counts: Counter[str] = Counter()
        self._largest = Difference()
        self._switched_off = ""  # why
        self._in_a_row = 0  # failures; which of two threads counts last is no matter
        self._counted = threading.Lock()
        self._later = Later("recserve-check")

    @classmethod
    def open(
        cls,
        made: Compiled,
        bundle: Bundle,
        *,
        threads: int = 1,
        outputs: Sequence[str] = (),
        features: Mapping[str, TensorSpec] | None = None,
        limits: Mapping[str, int] | None = None,
        users: Users | None = None,
        check_every: int = 0,
    ) -> Self:
        """Load a record that is known to fit, and the model that it was made of; both run on the CPU.

        `users`: what the features say of requests; None: there are none to ask. For the others see
        `Loadable.load`.
        """
        set_threads(threads)
        original: Any = find(bundle.engine).load(
            bundle, threads=threads, outputs=outputs, features=features, limits=limits
        )
        rewritten: TensorEngine
        if made.engine == "aotinductor":
            rewritten = AotInductor.open(
                made, bundle, threads=threads, outputs=outputs, module=original.module
            )
        else:
            flat = load_flat(made, original.module)
            rewritten = TorchScript(flat, device=device_of("cpu"), outputs=outputs, features=None, limits={})
        return cls(
            original,
            rewritten,
            (users or Users.of(made)) if made.users_once else None,
            repeats=made.repeats,
            check_every=check_every,
            sizes=made.first_sizes,
            reads=made.inputs,
        )

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Tensors that the original reads."""
        return self.original.inputs

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the answers: as configured, else sorted."""
        return self.original.outputs or self.rewritten.outputs

    @property
    def runs(self) -> TensorEngine:
        """What answers requests that it fits."""
        return self.original if self._switched_off else self.rewritten

    @property
    def figures(self) -> Figures:
        """Counts, and the largest differences."""
        with self._counted:
            return Figures(**self._counts, largest=self._largest, switched_off=self._switched_off)

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample until both models have been called as often as they need."""
        for inputs, rows in samples:
            for _ in range(FIRST_CALLS):
                self.run(inputs, rows=rows)

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, (rows, ...) each."""
        check_deadline(deadline)
        if rows == 0:
            return self._no_rows.answer()
        fits = not self._switched_off and self._fits(inputs, rows)
        outputs = self._answer(
            partial(self.rewritten.run, inputs, rows=rows, deadline=deadline) if fits else None,
            partial(self._original, inputs, rows, deadline),
            partial(self._original, inputs, rows, None),
        )
        self._no_rows.learn(outputs)
        return outputs

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's tensors: of the rewritten model where users have one row in them."""
        given = self.original.accepted(request)
        check_deadline(request.deadline)
        original = partial(self.original.run_arrays, given)
        rewritten = partial(self.rewritten.run_arrays, given) if self._takes(given) else None
        return answer(request, self._answer(rewritten, original, original))

    def close(self) -> None:
        """Wait for a request that is re-scored, and begin no other."""
        self._later.close()

    def _answer(self, rewritten: Call | None, original: Call, check: Call) -> Outputs:
        """What the rewritten model answers; the original, where it fails, is found to be wrong, or is None.

        `check` is the original without a deadline: it may run later.
        """
        failure = None
        if rewritten is not None:
            try:
                outputs = rewritten()
            except DeadlineError:
                raise
            except RecserveError as error:
                failure = error
            else:
                if self._stands(outputs, check):
                    return outputs
        self._count("original")
        outputs = original()
        if failure is not None:  # of the rewritten model alone
            self._fail(failure)
        return outputs

    def _stands(self, outputs: Outputs, check: Call) -> bool:
        """Whether an answer of the rewritten model may go out; one in so many is compared afterwards."""
        self._in_a_row = 0
        calls = self._count("rewritten")
        if calls <= FIRST_CALLS:
            return self._check(outputs, check)
        is_due = self._check_every > 0 and calls % self._check_every == 0
        if is_due and not self._later.begin(partial(self._check, outputs, check)):
            self._count("dropped")
        return True

    def _original(self, inputs: ModelInputs, rows: int, deadline: float | None) -> dict[str, NDArray[Any]]:
        layout = self._layout_of(inputs)
        if self._repeats and rows > 1 and layout is not None and layout.has_one_user(inputs):
            inputs = inputs.repeated(layout.positions, rows)
        return self.original.run(inputs, rows=rows, deadline=deadline)

    def _fits(self, inputs: ModelInputs, rows: int) -> bool:
        layout = self._layout_of(inputs)
        one_user = layout is None or (layout.has_one_user(inputs) and layout.has_steps(inputs))
        return one_user and self.sizes.fit(inputs, rows)

    def _takes(self, given: Mapping[str, NDArray[Any]]) -> bool:
        """Whether tensors of a caller are for the rewritten model.

        An original that reads users in every row is asked with such rows, so it answers them.
        """
        if self._switched_off or self._repeats or not sizes.fit_behind_first(given, self._reads):
            return False
        if self._users is None:
            return True
        one_user = all(_rows_of(name, given) == 1 for name in self._users.tensors if name in given)
        return one_user and all(
            given[name].min(initial=1) >= 1 for name in self._users.sequences if name in given
        )

    def _layout_of(self, inputs: ModelInputs) -> UserLayout | None:
        if self._users is None:
            return None
        layout = self._layout
        if layout is None or layout.names is not inputs.names:
            self._layout = layout = UserLayout(inputs.names, self._users)
        return layout

    def _check(self, found: Outputs, original: Call) -> bool:
        """Whether the original answers alike; if not, the rewritten model is switched off."""
        try:
            expected = original()
        except RecserveError:
            self._count("failed")
            return True
        seen = difference(expected, found)
        self._count("alike" if seen.is_allowed else "different")
        with self._counted:
            self._largest = self._largest.or_larger(seen)
        if not seen.is_allowed:
            rows = max(map(len, expected.values()), default=0)
            self._switch_off(
                f"output '{seen.output}' differs from the original's for a request of {rows} rows: "
                f"probabilities by {seen.probability:.3g}, other outputs by {seen.relative:.3g} of their size"
            )
        return seen.is_allowed

    def _fail(self, error: RecserveError) -> None:
        """Count a failure for what the original answered: the first is told, many in a row are the end."""
        self._in_a_row += 1
        if self._count("failures") == 1:
            logger.warning(
                "the compiled model failed, the original answers; more failures are only counted",
                extra={"reason": str(error)},
            )
        if self._in_a_row >= MOST_FAILURES:
            self._switch_off(f"it failed for {self._in_a_row} requests, one after the other: {error}")

    def _switch_off(self, why: str) -> None:
        with self._counted:
            already, self._switched_off = self._switched_off, self._switched_off or why
        if not already:
            logger.error("the compiled model is switched off, the original answers", extra={"reason": why})

    def _count(self, event: str) -> int:
        """Count an event of `Figures`; gives its new count."""
        with self._counted:
            self._counts[event] += 1
            return self._counts[event]


class UserLayout:
    """Where the tensors of users and the lengths of sequences are among those of one plan."""

    def __init__(self, names: TensorNames, users: Users) -> None:
        self.names = names
        ints = names.ints
        all_names = [*ints, *names.floats]
        #: Tensors of users, ints first.
        self.positions = [k for k, name in enumerate(all_names) if name in users.tensors]
        widths = dict(zip(names.floats, names.float_widths, strict=True))
        rows = {
            k: widths.get(all_names[k], 1) for k in self.positions if _tells_rows(all_names[k], all_names)
        }
        self._rows, self._sizes = list(rows), list(rows.values())
        self._steps = [k for k, name in enumerate(ints) if name in users.sequences]

    def has_one_user(self, inputs: ModelInputs) -> bool:
        """Whether every tensor of a user has one row."""
        return inputs.has_sizes(self._rows, self._sizes)

    def has_steps(self, inputs: ModelInputs) -> bool:
        """Whether every sequence has a step."""
        return not self._steps or inputs.least(self._steps) >= 1


def _tells_rows(name: str, names: Sequence[str]) -> bool:
    """F.lengths does; so does F.values of a dense feature, which has no lengths."""
    feature, _, part = name.rpartition(".")
    return part == "lengths" or (part == "values" and f"{feature}.lengths" not in names)


def _rows_of(name: str, given: Mapping[str, NDArray[Any]]) -> int:
    """Rows of the feature that a tensor belongs to; 1 where they cannot be told."""
    feature = name.rpartition(".")[0]
    for part in ("lengths", "values"):
        if (tensor := given.get(f"{feature}.{part}")) is not None:
            return len(tensor)
    return 1
