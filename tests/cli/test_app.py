"""The command as a whole: help, errors, exit codes, and what it does not import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable

#: In eascmd's words.
SERVICES = [
    "up",
    "down",
    "create",
    "modify",
    "scale",
    "desc",
    "ls",
    "showworkers",
    "deleteworkers",
    "stop",
    "start",
    "delete",
    "release",
    "rollout",
    "autoscale",
    "cronscale",
    "mirror",
    "lock",
    "logs",
    "events",
    "groups",
    "nodes",
    "render",
    "alias",
]

COMMANDS = [
    "serve",
    "check",
    "doctor",
    "inspect",
    "compile",
    "score",
    "predict",
    "bench",
    "replay",
    "version",
    *SERVICES,
    "node",
    "captures",
    "config",
    "features",
    "items",
    "store",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(call: Callable[..., Any], command: str) -> None:
    result = call(command, "--help")

    assert result.exit_code == 0
    assert f"Example: recserve {command}" in result.stdout


def test_the_help_lists_every_command(call: Callable[..., Any]) -> None:
    result = call("--help")

    commands = {info.callback.__name__ for info in app.registered_commands if info.callback}
    groups = {group.typer_instance.info.name for group in app.registered_groups if group.typer_instance}
    assert commands | groups == set(COMMANDS)
    assert all(f" {command} " in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["version"]])
def test_help_loads_neither_torch_nor_protobuf_nor_arrow(
    python: Callable[..., Any], arguments: list[str]
) -> None:
    heavy = "('torch', 'google.protobuf', 'pyarrow', 'numpy', 'uvicorn', 'recserve._core')"
    script = (
        "import sys\nfrom recserve.cli.app import main\n"
        f"sys.argv = ['recserve', *{arguments}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {heavy} if name in sys.modules])"
    )

    result = python("-c", script)

    assert result.stdout.splitlines()[-1] == "LOADED []", result.stderr


def test_the_module_is_the_command(python: Callable[..., Any]) -> None:
    result = python("-m", "recserve", "version", "--json")

    assert result.returncode == 0
    assert '"recserve": "' in result.stdout


def test_completion_knows_the_commands(python: Callable[..., Any]) -> None:
    script = (
        "import os\nos.environ.update("
        "_RECSERVE_COMPLETE='complete_bash', COMP_WORDS='recserve ', COMP_CWORD='1')\n"
        "from recserve.cli.app import main\nmain()"
    )

    result = python("-c", script)

    assert result.stdout.split() == COMMANDS


def test_an_error_of_ours_is_one_line_on_stderr_and_exit_code_1(python: Callable[..., Any]) -> None:
    result = python("-m", "recserve", "inspect", "nowhere")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "recserve: bundle 'nowhere' does not exist\n"


def test_debug_shows_the_trace(python: Callable[..., Any]) -> None:
    result = python("-m", "recserve", "--debug", "inspect", "nowhere")

    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.rstrip().endswith("bundle 'nowhere' does not exist")


@pytest.mark.parametrize(
    "arguments",
    [["serve"], ["nothing"], ["serve", "b", "--port", "70000"], ["serve", "b", "--log-level", "loud"]],
)
def test_a_usage_error_is_exit_code_2(call: Callable[..., Any], arguments: list[str]) -> None:
    assert call(*arguments).exit_code == 2
