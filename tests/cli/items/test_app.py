"""The group as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = ["load", "status", "get", "diff", "refresh", "snapshot"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(call: Callable[..., Any], command: str) -> None:
    result = call("items", command, "--help")

    assert result.exit_code == 0
    assert f"Example: recserve items {command}" in result.stdout


def test_the_help_lists_every_command(call: Callable[..., Any]) -> None:
    result = call("items", "--help")

    assert all(f" {command} " in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_a_wrong_token_is_one_line_and_exit_code_1(ask: Callable[..., Any], command: str) -> None:
    result = ask(command, *(["i1"] if command == "get" else []), token="wrong")

    assert result.exit_code == 1
    assert "answered 401" in result.stderr
    assert "wrong" not in result.stderr


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_nobody_at_the_port_is_one_line_and_exit_code_1(call: Callable[..., Any], command: str) -> None:
    arguments = ["i1"] if command == "get" else []

    result = call("items", command, *arguments, "--url", "127.0.0.1:1")

    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
