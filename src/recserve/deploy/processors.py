"""`processor`: which kinds of models are served, and what the version behind easyrec-torch- stands for.

A version is a compatibility profile: the releases of torch and of feature generation that its exports were
made for. One process serves them all, as it reads exports of all of these releases.
Source: the hosted processor's page "TorchEasyRec Processor", "Version history".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.config import forms
from recserve.config.nearest import did_you_mean
from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Profile:
    """What exports for one version of the hosted processor were made with."""

    version: str
    torch: str
    features: str  # the release of feature generation (FG)


def _profiles(torch: str, **versions: str) -> dict[str, Profile]:
    """`v1_5="0.7.3"`: version 1.5 has FG 0.7.3."""
    names = {name.removeprefix("v").replace("_", "."): features for name, features in versions.items()}
    return {version: Profile(version, torch, features) for version, features in names.items()}


PROFILES: dict[str, Profile] = {
    **_profiles("2.4", v0_1="0.2.9", v0_2="0.2.9", v0_3="0.2.9", v0_4="0.3.1", v0_5="0.3.1", v0_6="0.3.6"),
    **_profiles("2.5", v0_7="0.3.9", v0_8="0.3.9", v0_9="0.4.1", v1_0="0.4.2", v1_1="0.5.9", v1_2="0.6.0"),
    **_profiles("2.5", v1_3="0.6.5", v1_4="0.6.9", v1_5="0.7.3", v1_6="0.7.4", v1_7="0.7.4", v1_8="0.7.4"),
    **_profiles("2.5", v1_9="1.0.0", v1_10="1.0.1", v1_11="1.0.1", v1_12="1.0.1"),
    **_profiles("2.8", v2_0="1.0.1", v2_1="1.0.2", v2_2="1.0.5"),
}
NEWEST = PROFILES["2.2"]

_TORCH = re.compile(r"easyrec-torch(-(?P<version>\d+(\.\d+)*))?")
_EASYREC = re.compile(r"easyrec(-\d+(\.\d+)*)?")

_EASYREC_WORDS = """
    outputs save_req url tables period fs_project fs_model fs_entity region access_key_id access_key_secret
    load_feature_from_offlinestore featuredb_username featuredb_password item_empty_score
    inter_op_parallelism_threads intra_op_parallelism_threads
"""
#: model_config of easyrec-*, by what its page says: key, and the values that it lists.
_EASYREC_KEYS: dict[str, tuple[str, ...]] = {
    "fg_mode": ("tf", "bypass"),
    "remote_type": ("hologres", "none"),
    **dict.fromkeys(_EASYREC_WORDS.split(), ()),
}


def profile(processor: Any) -> tuple[Profile, str]:
    """What a processor's version stands for, and what a person should know of it."""
    found = _TORCH.fullmatch(processor) if isinstance(processor, str) else None
    if found is None:
        raise RefusedError(
            [f"processor {processor!r} is not served; easyrec-torch-… is, and containers run any app"]
        )
    version = found["version"]
    if version is None or version in PROFILES:
        return PROFILES.get(version or NEWEST.version, NEWEST), ""
    return NEWEST, f"processor: version {version} is not known; it is taken for {NEWEST.version}"


def easyrec_problems(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with a document for the TensorFlow processor: at least that there is none yet."""
    processor = document.get("processor")
    if not isinstance(processor, str) or not _EASYREC.fullmatch(processor):
        return []
    problems = [
        f"processor {processor!r} is of TensorFlow models, which are not served yet; easyrec-torch-… is"
    ]
    for key, value in forms.model_config(document).items():
        if key not in _EASYREC_KEYS:
            hint = did_you_mean(key, _EASYREC_KEYS)
            problems.append(f"model_config.{key} is no key of {processor}{hint}")
        elif _EASYREC_KEYS[key] and value not in _EASYREC_KEYS[key]:
            known = " and ".join(_EASYREC_KEYS[key])
            problems.append(f"model_config.{key} is {value!r}; {processor} knows {known}")
    return problems
