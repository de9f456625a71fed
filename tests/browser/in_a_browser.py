"""The page to try a service, used as a person uses it, in a real browser.

    make test-browser

Not part of `make test`: a browser and its libraries come with the system (apt-get install chromium), or by
`playwright install --with-deps chromium`, which needs root as well.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Running, running, running_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_bundle(write_bundle(tmp_path_factory.mktemp("browser")), service_of()) as server:
        yield server


@pytest.fixture
def page() -> Iterator[Page]:
    """A page that fails the test if its script or its policy has an error, or if it asks another host."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: _note(problems, message))
        page.on("request", lambda request: _is_ours(problems, request.url))
        yield page
        browser.close()
    assert problems == []


def _note(problems: list[str], message: Any) -> None:
    if message.type == "error" and "the server responded with a status of 4" not in message.text:
        problems.append(message.text)


def _is_ours(problems: list[str], url: str) -> None:
    if not url.startswith("http://127.0.0.1:"):
        problems.append(f"asked somebody else: {url}")


def open_page(page: Page, server: Running, token: str = "token") -> None:
    page.goto(f"http://127.0.0.1:{server.port}/docs")
    page.get_by_label("token").fill(token)
    page.get_by_role("button", name="Use token").click()


def column(page: Page, place: int) -> list[str]:
    texts: list[str] = page.locator(f"#scores tbody tr td:nth-child({place})").all_inner_texts()
    return texts


def test_a_person_sees_the_service_sends_the_example_and_reads_sorted_scores(
    page: Page, scores: Running
) -> None:
    open_page(page, scores)

    expect(page.get_by_role("heading", name="recserve: rank")).to_be_visible()
    expect(page.locator("#path")).to_have_text("/v1/score/rank")
    expect(page.locator("#inputs")).to_contain_text("likes")
    expect(page.locator("#outputs")).to_have_text("score, tags")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#status")).to_contain_text("200 in ")
    assert sorted(column(page, 1)) == ["i1", "i2", "i3"]
    numbers = [float(text) for text in column(page, 2)]
    assert numbers == sorted(numbers, reverse=True)
    expect(page.locator("#timings")).to_contain_text("look_up")
    page.get_by_role("button", name="score").click()  # the other way round
    assert [float(text) for text in column(page, 2)] == sorted(numbers)
    page.get_by_role("button", name="item").click()
    assert column(page, 1) == ["i1", "i2", "i3"]


def test_a_wrong_token_is_told_and_the_right_one_works_then(page: Page, scores: Running) -> None:
    open_page(page, scores, token="wrong")

    expect(page.get_by_role("alert")).to_have_text("That token is not one of this service.")
    page.get_by_label("token").fill("token")
    page.get_by_role("button", name="Use token").click()
    expect(page.locator("#main")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_does_not_fit_is_told_in_the_words_of_the_server(page: Page, scores: Running) -> None:
    open_page(page, scores)
    request = page.get_by_label("request")

    request.fill('{"items": []}')
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown key 'items'")
    expect(page.locator("#answer")).to_be_hidden()
    request.fill('{"item_ids": ["<img src=x onerror=alert(1)>", "<b>"]}')
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#scores tbody")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("#scores img").count() == 0


def test_tensors_are_shown_by_row(page: Page) -> None:
    with running() as rank:
        open_page(page, rank)
        page.get_by_label("request").fill('{"inputs": {"x": [1, 3, 2]}}')
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#status")).to_contain_text("200 in ")
        assert column(page, 1) == ["1", "2", "0"]
        assert column(page, 2) == ["6", "4", "2"]
