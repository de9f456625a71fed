"""Which service is meant: options win over the service file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recserve.cli.target import DEFAULT_URL, Target, target

if TYPE_CHECKING:
    from tests.cli.conftest import Folder


@pytest.mark.parametrize(
    ("options", "with_file", "expected"),
    [
        ((DEFAULT_URL, "", ""), False, Target(DEFAULT_URL, "recserve", "")),
        ((DEFAULT_URL, "", ""), True, Target(DEFAULT_URL, "rank", "s3cret")),
        (("host:80/", "mine", "t"), True, Target("http://host:80", "mine", "t")),
        (("https://host/api/predict/other", "", ""), True, Target("https://host", "other", "s3cret")),
    ],
)
def test_options_win_over_the_url_and_the_url_over_the_file(
    folder: Folder, options: tuple[str, str, str], with_file: bool, expected: Target
) -> None:
    config = folder.path / "service.json" if with_file else None

    assert target(*options, config) == expected


def test_the_url_of_the_service_is_the_predict_path() -> None:
    assert Target("http://h", "n", "").service_url == "http://h/api/predict/n"
