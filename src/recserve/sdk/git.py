"""A clone of a repository, as shallow as may be. Secrets go by the environment, which no `ps` shows."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import TYPE_CHECKING

from recserve.config.environment import process_environ
from recserve.sdk.exception import PAIException

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEYS = ("repo", "branch", "commit", "username", "password", "token")
_SECONDS = 600.0


def cloned(config: Mapping[str, str], target: Path) -> Path:
    """Clone `config["repo"]` at its branch or commit into `target`, and give that."""
    unknown = sorted(set(config) - set(_KEYS))
    if unknown:
        raise ValueError(f"git_config has {', '.join(unknown)}; known are {', '.join(_KEYS)}")
    repo, commit = config.get("repo", ""), config.get("commit", "")
    if not repo:
        raise ValueError("git_config has no repo: which one is to be cloned?")
    for key in ("repo", "branch", "commit"):
        if config.get(key, "").startswith("-"):
            raise ValueError(f"git_config: {key} is {config[key]!r}, which git would take for an option")
    environ = {**process_environ(), **_secrets(config)}
    wanted = commit or config.get("branch") or "HEAD"
    target.mkdir(parents=True)
    _git(["init", "--quiet"], target, environ)
    try:
        _git(["fetch", "--quiet", "--depth", "1", "--", repo, wanted], target, environ)
    except PAIException:
        if not commit:
            raise
        # Servers need not hand out a commit by its number, least of all by the beginning of one.
        _git(["fetch", "--quiet", "--", repo, config.get("branch") or "HEAD"], target, environ)
        wanted = commit
    else:
        wanted = "FETCH_HEAD"
    _git(["checkout", "--quiet", "--detach", wanted], target, environ)
    return target


def _secrets(config: Mapping[str, str]) -> dict[str, str]:
    """What git reads of its environment: a header for this server alone, and never a question to a person."""
    result = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file"}
    secret = config.get("token") or config.get("password")
    if secret:
        user = config.get("username") or "git"
        told = base64.b64encode(f"{user}:{secret}".encode()).decode()
        server = re.match(r"https?://[^/]+/", config["repo"])
        result |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{server.group() if server else config['repo']}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {told}",
        }
    return result


def _git(arguments: list[str], folder: Path, environ: Mapping[str, str]) -> None:
    try:
        ended = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise PAIException("git_config needs git, which is not on the PATH; install it") from None
    except subprocess.TimeoutExpired:
        raise PAIException(f"git {arguments[0]} has not ended after {_SECONDS:g} s") from None
    if ended.returncode != 0:
        said = re.sub(r"//[^/@\s]+@", "//…@", ended.stderr.strip())
        raise PAIException(f"git {arguments[0]}: {said[-500:]}")
