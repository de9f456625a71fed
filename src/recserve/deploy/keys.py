"""Every key of a service document that deploying knows, and what becomes of it here.

| fate      | what happens                                                           |
|-----------|------------------------------------------------------------------------|
| kept      | it means what it means on the hosted platform                          |
| mapped    | it means the nearest thing that one's own machines have                |
| no effect | kept in the document, and said once in a remark                        |
| billing   | as no effect; all of them are said in one remark                       |
| refused   | the document is: not to have it would be unsafe, or no service at all  |

Keys of `metadata.rpc`, `model_config` and `processor_envs` are the serving process's own (recserve.config).
A key that stands nowhere is kept and remarked, with the nearest one that does.
Source: the platform's page "Deploy a service using JSON".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from recserve.config.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Fate(StrEnum):
    """What becomes of a key; see above."""

    KEPT = "kept"
    MAPPED = "mapped"
    NO_EFFECT = "no effect"
    BILLING = "billing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of one object."""

    fate: Fate
    sentence: str


def _all(fate: Fate, **sentences: str) -> dict[str, Key]:
    return {name: Key(fate, sentence) for name, sentence in sentences.items()}


_PYTHON = "custom processors do not run here; write the app as containers with a script"
_TENANT = "tenants, quotas and regions are the platform's"
_NETWORK = "networks are the machines' own"
_RELEASE = "say it with `recserve release`, without a new version"

#: By the path of the object; `[]` is each entry of a list.
KEYS: dict[str, dict[str, Key]] = {
    "": {
        **_all(
            Fate.KEPT,
            name="What the service is called; metadata.name means the same.",
            token="Who may ask; one is made if it is absent, and a list is for the time of a change.",
            generate_token="false: everybody may ask.",
            processor="easyrec-torch-<version>: an exported TorchEasyRec model.",
            processor_envs="Variables of the serving process.",
            model_path="The model's directory: a path, or a URI that the alias table knows.",
            model_config="How the model is fed and what it answers.",
            warm_up_data_path="Requests that are replayed before an instance counts as ready.",
            metadata="Size, place and limits.",
            containers="An app of one's own.",
            storage="Directories that instances find at a path.",
            labels="Words to find services by.",
            autoscaler="Scale by what instances measure.",
            cronscaler="Ours: scale by the clock.",
            runtime="What happens when a process ends.",
            networking="Limits at the gateway.",
            admin_token="Ours: who may use an instance's admin port.",
            source="Where the document came from.",
        ),
        **_all(
            Fate.MAPPED,
            cloud="Instance types become cores, memory and cards.",
            unit="A size of 1.",
            dockerAuth="On Kubernetes, which alone pulls images: base64 of user:password for the registry.",
        ),
        **_all(
            Fate.NO_EFFECT,
            model_entry="the model's directory says itself what is in it",
            oss_endpoint="the alias table says where buckets are",
            role_arn="the alias table says where buckets are",
            aimaster="there is no check of several machines for one instance",
            features="switches of the platform",
            options="switches of the platform",
        ),
        **_all(
            Fate.REFUSED,
            confidential="models are not encrypted; remove the key if that is not needed",
            sinker="requests and answers are not written elsewhere; model_config.request_log_path keeps them",
            processor_path=_PYTHON,
            processor_entry=_PYTHON,
            processor_mainclass=_PYTHON,
            processor_type=_PYTHON,
        ),
    },
    "metadata": {
        **_all(
            Fate.KEPT,
            name="What the service is called.",
            token="Who may ask.",
            instance="How many instances; changing it makes no version.",
            cpu="Cores of an instance.",
            memory="Megabytes of an instance.",
            gpu="Cards of an instance.",
            group="Services with one entry, by weight.",
            type="Standard.",
            rpc="Limits of the serving process.",
            rolling_strategy="How many more, or fewer, instances there may be in a roll.",
            eas="The time that an instance has to end.",
            scheduling="Whether instances are spread over machines.",
            strict_resources="Ours: true refuses what the machines lack, instead of remarking it.",
        ),
        **_all(
            Fate.MAPPED,
            gpu_memory="Gigabytes of a card that is shared; they are counted, not enforced.",
            shm_size="Gigabytes of /dev/shm, where a backend can limit it.",
            qos="BestEffort: cores are not counted.",
            resource="The pool of machines.",
            resource_burstable="true: other machines will do as well.",
            gateway="There is one gateway.",
        ),
        **_all(
            Fate.NO_EFFECT,
            gpu_core_percentage="shared cards are counted by memory alone",
            disk="instances write where the machine has room",
            resource_rebalancing="instances stay where they are",
            quota_id=_TENANT,
            quota_type=_TENANT,
            workspace_id=_TENANT,
            region=_TENANT,
            cuda="the environment's own CUDA is taken",
            rdma=_NETWORK,
            role=_RELEASE,
            role_attrs=_RELEASE,
            release=_RELEASE,
            weight=_RELEASE,
            enable_grpc="the gateway speaks HTTP; metadata.rpc.grpc_port opens a port of the instance",
            enable_webservice="instances answer at all paths below their own anyway",
        ),
        **_all(Fate.REFUSED, workload_type="instances serve; elastic jobs do not run here"),
    },
    "metadata.eas": _all(Fate.KEPT, termination_grace_period="Seconds from SIGTERM to SIGKILL."),
    "metadata.rolling_strategy": _all(
        Fate.KEPT,
        max_surge="More instances than wanted in a roll: a number or a share; at least 1.",
        max_unavailable="Fewer ready instances than wanted in a roll: a number or a share.",
    ),
    "metadata.scheduling": _all(Fate.KEPT, spread="Whether instances are spread."),
    "metadata.scheduling.spread": _all(Fate.KEPT, policy="host, zone or default."),
    "cloud": _all(Fate.MAPPED, computing="Instance types.") | _all(Fate.NO_EFFECT, networking=_NETWORK),
    "cloud.computing": {
        **_all(
            Fate.MAPPED,
            instance_type="Cores, memory and cards by its name.",
            instances="Types in the order in which they are preferred: the first one is taken.",
        ),
        **_all(Fate.BILLING, disable_spot_protection_period="", spot_price_limit=""),
    },
    "cloud.computing.instances[]": {
        **_all(Fate.MAPPED, type="Cores, memory and cards by its name."),
        **_all(Fate.NO_EFFECT, capacity="instances are not shared out over types"),
        **_all(Fate.BILLING, spot_price_limit=""),
    },
    "runtime": _all(
        Fate.KEPT,
        enable_crash_block="true: a process that ended is not started again.",
        termination_grace_period="As metadata.eas.termination_grace_period.",
    ),
    "unit": _all(Fate.MAPPED, size="1: an instance is one process on one machine."),
    "networking": {
        **_all(Fate.KEPT, gateway_policy="Limits of requests for the service."),
        **_all(Fate.MAPPED, gateway="There is one gateway."),
        **_all(Fate.NO_EFFECT, path="a service answers at /api/predict/<its name>"),
        **_all(Fate.NO_EFFECT, disable_internet_endpoint=_NETWORK, traffic_state=_RELEASE, vpc_id=_NETWORK),
    },
    "networking.gateway_policy": _all(
        Fate.KEPT,
        rate_limit="Requests per second; over it 429.",
        concurrency_limit="Requests at once; over it 429.",
    ),
    "networking.gateway_policy.rate_limit": _all(Fate.KEPT, enable="On.", limit="How many."),
    "networking.gateway_policy.concurrency_limit": _all(Fate.KEPT, enable="On.", limit="How many."),
    "containers[]": {
        **_all(
            Fate.KEPT,
            image="An image, on Kubernetes; env://… and none are this Python.",
            command="What is run.",
            script="What /bin/sh runs.",
            port="Where the app listens, if it does not read LISTENING_PORT.",
            env="Its variables.",
            prepare="What is installed before it begins.",
            health_check="When it is ready.",
            startup_check="When it has begun.",
        ),
        **_all(Fate.NO_EFFECT, name="a service has one container"),
    },
    "containers[].prepare": _all(
        Fate.KEPT, pythonRequirements="Of pip.", pythonRequirementsPath="A file below a mount."
    ),
    "storage[]": {
        **_all(
            Fate.KEPT,
            mount_path="Where instances find it.",
            properties="What it is for.",
            oss="A bucket of the alias table.",
            nfs="A directory of the machine.",
            host_path="Ours: a directory of the machine.",
            empty_dir="An empty directory.",
            git="A repository, cloned before an instance begins.",
        ),
        **_all(
            Fate.REFUSED,
            cpfs="mount it on the machines, and write host_path",
            dataset="write the directory as oss or host_path",
            image="write the directory as oss or host_path",
        ),
    },
}


def review(document: Any, where: str = "") -> tuple[list[str], list[str]]:
    """What is wrong with the keys of a document, and what a person should know of them."""
    found = list(_found(document, where))
    problems = [f"{path} is not supported: {key.sentence}" for path, key in found if key.fate is Fate.REFUSED]
    by_reason: dict[str, list[str]] = {}
    for path, key in found:
        if key.fate is Fate.NO_EFFECT:
            by_reason.setdefault(key.sentence, []).append(path)
    remarks = [f"{', '.join(paths)}: no effect here: {reason}" for reason, paths in by_reason.items()]
    billing = list(dict.fromkeys(path for path, key in found if key.fate is Fate.BILLING))
    if billing:
        remarks.append(f"{', '.join(billing)}: nothing is billed here")
    return problems, remarks + list(_unknown(document, where))


def _found(values: Any, where: str) -> Iterator[tuple[str, Key]]:
    """Every key that the table has, by its path; null is as good as absent."""
    for path, at, key, value in _walked(values, where):
        known = KEYS[at].get(key)
        if known is not None and value is not None:
            yield path, known


def _unknown(values: Any, where: str) -> Iterator[str]:
    for path, at, key, _ in _walked(values, where):
        if key not in KEYS[at]:
            yield f"unknown key '{path}': it has no effect{did_you_mean(key, KEYS[at].keys())}"


def _walked(values: Any, where: str) -> Iterator[tuple[str, str, str, Any]]:
    """(path, object in the table, key, value) of every key of the objects that the table has."""
    if isinstance(values, list):
        for one in values:
            yield from _walked(one, f"{where}[]")
    elif isinstance(values, dict) and where in KEYS:
        for key, value in values.items():
            path = f"{where}.{key}" if where else key
            yield path, where, key, value
            yield from _walked(value, path)


def table() -> Mapping[str, Key]:
    """Every key by its whole path; for the reference page."""
    return {
        f"{where}.{key}" if where else key: one for where, keys in KEYS.items() for key, one in keys.items()
    }
