from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from recserve.observe import logs
from recserve.observe.logs import JsonFormatter, Throttle


@pytest.fixture
def logger() -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(["s3cret", "s3cret-longer", 'quo"te', ""]))
    logger = logging.Logger("recserve.test")
    logger.addHandler(handler)
    return logger, stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_of_json(logger: tuple[logging.Logger, io.StringIO]) -> None:
    logger[0].warning("slow\nrequest %d", 7, extra={"request_id": "r1", "stages_ms": {"run": 1.5}})

    (line,) = lines(logger[1])

    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "recserve.test",
        "message": "slow\nrequest 7",
        "request_id": "r1",
        "stages_ms": {"run": 1.5},
    }


def test_what_a_library_marks_records_with_is_left_out() -> None:
    record = logging.LogRecord("recserve.test", logging.INFO, "", 0, "said", (), None)
    record._of_a_library = 1

    assert "_of_a_library" not in json.loads(JsonFormatter().format(record))


def test_an_exception_brings_its_trace(logger: tuple[logging.Logger, io.StringIO]) -> None:
    try:
        raise ValueError("inner")
    except ValueError as error:
        logger[0].error("failed", exc_info=error)

    assert "ValueError: inner" in lines(logger[1])[0]["trace"]


def test_a_secret_of_digits_breaks_no_number() -> None:
    record = logging.LogRecord("recserve.test", logging.INFO, "", 0, "page 12 of 12", (), None)
    record.rows = 1234

    line = json.loads(JsonFormatter(["12"]).format(record))

    assert (line["message"], line["rows"]) == ("page *** of ***", 1234)


@pytest.mark.parametrize("secret", ["s3cret", "s3cret-longer", 'quo"te'])
def test_a_secret_never_reaches_the_log(logger: tuple[logging.Logger, io.StringIO], secret: str) -> None:
    try:
        raise ValueError(f"token {secret}")
    except ValueError as error:
        logger[0].error(f"with {secret}", exc_info=error, extra={"header": {"authorization": [secret]}})

    written = logger[1].getvalue()
    assert secret not in written
    assert "longer" not in written
    assert json.loads(written)["message"] == "with ***"


def test_a_value_that_json_does_not_know_is_written_as_text(
    logger: tuple[logging.Logger, io.StringIO],
) -> None:
    logger[0].info("x", extra={"path": {1, 2}})

    assert lines(logger[1])[0]["path"] == "{1, 2}"


def test_all_loggers_of_the_process_write_json_until_the_handler_is_removed() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    level = root.level
    handler = logs.configure(level="info", secrets=["s3cret"], stream=stream)
    try:
        logging.getLogger("some.library").warning("s3cret")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    assert lines(stream)[0]["message"] == "***"


def test_a_throttle_admits_so_many_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("recserve.observe.logs.time.monotonic", lambda: now)
    throttle = Throttle(per_second=3)

    first = [throttle.admits() for _ in range(5)]
    now = 101.0

    assert first == [True, True, True, False, False]
    assert throttle.admits()


def test_secrets_that_are_found_later_are_hidden_from_then_on() -> None:
    stream, root = io.StringIO(), logging.getLogger()
    level = root.level
    handler = logs.configure(secrets=["first"], stream=stream)
    try:
        logs.hide(["second", ""])
        logging.getLogger("recserve").warning("first and second")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    assert [line["message"] for line in lines(stream)] == ["*** and ***"]
