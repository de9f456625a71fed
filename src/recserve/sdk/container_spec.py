"""`container_serving_spec`: an app of the user's own, in whatever web framework, as a service."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.deploy.backends.checkout import CheckoutError, checkout
from recserve.deploy.containers import DEFAULT_PORT, RESERVED_PORTS, repository
from recserve.deploy.errors import RefusedError
from recserve.sdk.exception import PAIException
from recserve.sdk.inference_spec import CODE_PATH, InferenceSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve.sdk.image import ImageInfo
    from recserve.sdk.session import Session
    from recserve.sdk.storage import StorageConfigBase

log = logging.getLogger("recserve.sdk")

_REQUIREMENTS = "requirements.txt"
_GIT_KEYS = ("repo", "branch", "commit", "username", "password", "token")


def container_serving_spec(
    command: str,
    image_uri: str | ImageInfo,
    source_dir: str | None = None,
    git_config: Mapping[str, str] | None = None,
    port: int | None = None,
    environment_variables: Mapping[str, Any] | None = None,
    requirements: Sequence[str] | None = None,
    requirements_path: str | None = None,
    health_check: Mapping[str, Any] | None = None,
    storage_configs: Sequence[StorageConfigBase] | None = None,
    session: Session | None = None,
) -> InferenceSpec:
    """A spec that runs `command`, with `source_dir` uploaded and mounted at /ml/usercode/ as its directory.

    `port`: where the app listens if it does not read LISTENING_PORT. `requirements` are installed before it
    starts and win over `requirements_path`, a file below a mount; a requirements.txt in `source_dir` is taken
    without being named. `git_config` (repo, branch, commit, username, password, token): what is cloned;
    `source_dir` is then a directory of it. Ours: `requirements_path` counts without a `source_dir`, too.
    """
    if not isinstance(command, str) or not command.strip():
        raise ValueError(f"command is {command!r}; what starts the app is expected: python app.py")
    if port in RESERVED_PORTS:
        raise ValueError(f"port {port} is reserved, as {RESERVED_PORTS[0]} and {RESERVED_PORTS[1]} are")
    image = image_uri if isinstance(image_uri, str) else image_uri.image_uri
    container: dict[str, Any] = {
        "image": image,
        "port": port or DEFAULT_PORT,
        "script": command,
        "env": [{"name": name, "value": str(value)} for name, value in (environment_variables or {}).items()],
    }
    storage = [one.to_dict() for one in storage_configs or ()]
    spec = InferenceSpec({"containers": [container], **({"storage": storage} if storage else {})})
    with tempfile.TemporaryDirectory(prefix="recserve-") as folder:
        code = _code(source_dir, git_config, Path(folder))
        if code is not None:
            spec.mount(str(code), CODE_PATH, session)
            container["script"] = f"cd {CODE_PATH}\n{command}"
            if (code / _REQUIREMENTS).is_file() and not requirements_path:
                requirements_path = CODE_PATH + _REQUIREMENTS
    if requirements and requirements_path:
        log.warning("requirements are given, so %s is not read", requirements_path)
    if health_check:
        container["health_check"] = dict(health_check)
    if requirements:
        container["prepare"] = {"pythonRequirements": list(requirements)}
    elif requirements_path:
        container["prepare"] = {"pythonRequirementsPath": requirements_path}
    spec["containers"] = [container]
    return spec


def _clone(config: Mapping[str, str], target: Path) -> Path:
    """What `git_config` names, in a folder of its own."""
    unknown = sorted(set(config) - set(_GIT_KEYS))
    if unknown:
        raise ValueError(f"git_config has {', '.join(unknown)}; known are {', '.join(_GIT_KEYS)}")
    target.mkdir(parents=True)
    try:
        checkout(repository(config, "git_config"), target)
    except RefusedError as error:
        raise ValueError(str(error)) from None
    except CheckoutError as error:
        raise PAIException(str(error)) from None
    return target


def _code(source_dir: str | None, git_config: Mapping[str, str] | None, folder: Path) -> Path | None:
    """The directory that is uploaded, if there is one."""
    if git_config:
        clone = _clone(git_config, folder / "clone")
        code = (clone / (source_dir or ".")).resolve()
        if not code.is_relative_to(clone.resolve()):
            raise ValueError(f"source_dir {source_dir!r} leads out of the clone")
        # What a link names is uploaded: nobody else's files by a repository's links.
        for one in code.rglob("*"):
            if one.is_symlink() and not one.resolve().is_relative_to(clone.resolve()):
                raise ValueError(f"{one.relative_to(code)} is a link that leads out of the clone")
    elif source_dir:
        code = Path(source_dir)
    else:
        return None
    if not code.is_dir():
        raise ValueError(f"source_dir is {str(source_dir)!r}, which is no directory")
    return code
