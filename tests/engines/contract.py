"""What every engine promises. A test class per engine inherits `EngineContract` and names its example."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from tests.gil import beside_others

from recserve.bundle import Bundle
from recserve.engines import find
from recserve.engines.engine import TensorSpec, tensors
from recserve.errors import BundleError, ConfigError, DeadlineError, RequestError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.columns import ModelInputs
    from recserve.engines.engine import Engine


class EngineContract:
    """Tests of one engine by an example bundle: two or more outputs, every input of `inputs` read."""

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]  # of the example, in the engine's order
    broken_file: ClassVar[str]  # a model file, to be filled with nonsense
    many_rows: ClassVar[int]  # keeps the engine busy for a tenth of a second or more

    @classmethod
    def write(cls, folder: Path) -> Path:
        raise NotImplementedError

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def bundle(cls, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
        return Bundle.open(cls.write(tmp_path_factory.mktemp(cls.name)))

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, bundle: Bundle) -> Engine:
        engine = find(cls.name).load(bundle)
        engine.warm_up([(cls.inputs(rows), rows) for rows in (1, 5)])
        return engine

    def test_it_reads_what_the_features_send_and_answers_a_row_per_item(self, engine: Engine) -> None:
        result = engine.run(self.inputs(5), rows=5)

        assert set(engine.inputs) == set(tensors(self.inputs(5)))
        assert tuple(result) == tuple(engine.outputs) == self.outputs
        assert {output.shape[0] for output in result.values()} == {5}
        assert {output.dtype for output in result.values()} == {np.dtype(np.float32)}

    def test_no_rows_are_answered_in_the_shape_of_rows(self, engine: Engine) -> None:
        some = engine.run(self.inputs(2), rows=2)

        result = engine.run(self.inputs(0), rows=0)

        assert {name: output.shape for name, output in result.items()} == {
            name: (0, *output.shape[1:]) for name, output in some.items()
        }
        assert {output.dtype for output in result.values()} == {np.dtype(np.float32)}

    def test_eight_threads_get_what_one_gets(self, engine: Engine) -> None:
        requests = [(self.inputs(rows, seed), rows) for seed in range(8) for rows in (1, 3, 20)]
        expected = [engine.run(inputs, rows=rows) for inputs, rows in requests]

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda request: engine.run(request[0], rows=request[1]), requests * 4))

        for result, wanted in zip(results, expected * 4, strict=True):
            for name in self.outputs:
                np.testing.assert_array_equal(result[name], wanted[name])

    def test_other_threads_go_on_during_a_call(self, engine: Engine) -> None:
        inputs = self.inputs(self.many_rows)
        engine.run(inputs, rows=self.many_rows)

        beside_others(lambda: engine.run(inputs, rows=self.many_rows))

    def test_features_that_send_something_else_are_refused_by_both_lists(self, bundle: Bundle) -> None:
        sent = {name: TensorSpec() for name in tensors(self.inputs(1))}
        left_out = min(sent)
        sent["height.values"] = sent.pop(left_out)

        with pytest.raises(BundleError, match=rf"sent extra {{'height.values'}}, missing {{'{left_out}'}}"):
            find(self.name).load(bundle, features=sent)

    def test_features_that_fit_tell_the_types(self, bundle: Bundle) -> None:
        sent = {name: TensorSpec("int64", 1) for name in tensors(self.inputs(1))}

        assert dict(find(self.name).load(bundle, features=sent).inputs) == sent

    def test_configured_outputs_are_the_only_ones(self, bundle: Bundle) -> None:
        engine = find(self.name).load(bundle, outputs=self.outputs[1:2])

        assert list(engine.run(self.inputs(3), rows=3)) == [self.outputs[1]]

    def test_an_unknown_output_lists_the_known_ones(self, bundle: Bundle) -> None:
        with pytest.raises(ConfigError, match=rf"unknown 'probs'; the model has .*'{self.outputs[0]}'"):
            find(self.name).load(bundle, outputs=("probs",))

    def test_a_spent_deadline_is_not_begun(self, engine: Engine) -> None:
        with pytest.raises(DeadlineError, match="spent"):
            engine.run(self.inputs(1), rows=1, deadline=time.monotonic() - 1)

    def test_a_wrong_file_is_one_clear_line(self, tmp_path: Path) -> None:
        (tmp_path / self.broken_file).parent.mkdir(exist_ok=True)
        (tmp_path / self.broken_file).write_bytes(b"no model")

        with pytest.raises(BundleError, match=self.broken_file) as error:
            find(self.name).load(Bundle.open(tmp_path))

        assert "\n" not in str(error.value)

    def test_tensors_by_name_are_answered_by_name(self, engine: Engine) -> None:
        inputs = self.inputs(4)
        expected = engine.run(inputs, rows=4)

        result = engine.run_tensors(TensorRequest([], tensors(inputs)))

        assert result.outputs == []
        for name in self.outputs:
            np.testing.assert_array_equal(result.named_outputs[name], expected[name])

    def test_tensors_by_position_are_answered_by_position_too(self, engine: Engine) -> None:
        given = tensors(self.inputs(4))
        expected = engine.run_tensors(TensorRequest([], given)).named_outputs

        result = engine.run_tensors(TensorRequest([given[name] for name in engine.inputs], {}))

        assert list(result.named_outputs) == list(self.outputs)
        for output, name in zip(result.outputs, self.outputs, strict=True):
            np.testing.assert_array_equal(output, expected[name])

    def test_a_filter_picks_positions_in_its_own_order(self, engine: Engine) -> None:
        result = engine.run_tensors(TensorRequest([], tensors(self.inputs(4)), output_filter=[1, 0, 1]))

        for output, position in zip(result.outputs, (1, 0, 1), strict=True):
            np.testing.assert_array_equal(output, result.named_outputs[self.outputs[position]])

    @pytest.mark.parametrize("position", [-1, 99])
    def test_a_filter_beyond_the_outputs_is_refused(self, engine: Engine, position: int) -> None:
        with pytest.raises(RequestError, match=f"output_filter {position}: the model has"):
            engine.run_tensors(TensorRequest([], tensors(self.inputs(2)), output_filter=[position]))

    def test_tensors_that_are_missing_or_too_many_are_both_listed(self, engine: Engine) -> None:
        given = tensors(self.inputs(2))
        left_out = min(given)
        given["height.values"] = given.pop(left_out)

        with pytest.raises(RequestError, match=rf"sent extra {{'height.values'}}, missing {{'{left_out}'}}"):
            engine.run_tensors(TensorRequest([], given))

    def test_a_gap_between_positions_is_a_missing_input(self, engine: Engine) -> None:
        given = tensors(self.inputs(2))
        first, *rest = engine.inputs

        with pytest.raises(RequestError, match=rf"missing {{'{first}'}}"):
            engine.run_tensors(TensorRequest([None, *(given[name] for name in rest)], {}))

    def test_an_input_by_name_and_by_position_is_refused(self, engine: Engine) -> None:
        given = tensors(self.inputs(2))
        first = next(iter(engine.inputs))

        with pytest.raises(RequestError, match=f"'{first}' is sent by name and by position"):
            engine.run_tensors(TensorRequest([given[first]], given))

    def test_lengths_that_do_not_fit_their_values_are_refused(self, engine: Engine) -> None:
        given = tensors(self.inputs(3))
        name = next(name for name in given if name.endswith(".lengths"))
        given[name] = given[name] + 1

        with pytest.raises(RequestError, match=f"input '{name}' sums to"):
            engine.run_tensors(TensorRequest([], given))
