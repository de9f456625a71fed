from __future__ import annotations

from recserve.config.service import load
from recserve.deploy.keys import KEYS, Fate, review, table


def test_every_key_says_something() -> None:
    for path, key in table().items():
        assert key.sentence or key.fate is Fate.BILLING, path


def test_keys_without_effect_are_said_once_by_their_reason() -> None:
    problems, remarks = review({"metadata": {"quota_id": "q", "workspace_id": "w", "disk": "50Gi"}})
    assert problems == []
    assert remarks == [
        "metadata.quota_id, metadata.workspace_id: no effect here: tenants, quotas and regions are the"
        " platform's",
        "metadata.disk: no effect here: instances write where the machine has room",
    ]


def test_keys_of_billing_are_said_in_one_remark() -> None:
    computing = {
        "disable_spot_protection_period": True,
        "instances": [
            {"type": "ecs.g7.large", "spot_price_limit": 1},
            {"type": "ecs.c7.large", "spot_price_limit": 2},
        ],
    }
    _, remarks = review({"cloud": {"computing": computing}})
    assert remarks == [
        "cloud.computing.disable_spot_protection_period, cloud.computing.instances[].spot_price_limit:"
        " nothing is billed here"
    ]


def test_what_would_be_unsafe_to_ignore_is_a_problem() -> None:
    problems, _ = review({"confidential": {"x": 1}, "sinker": {"type": "sls"}, "storage": [{"dataset": {}}]})
    assert len(problems) == 3
    assert all("not supported" in one for one in problems)


def test_a_mistyped_key_gets_its_nearest_one() -> None:
    _, remarks = review({"metadata": {"instnace": 2}, "contaners": []})
    assert "did you mean 'instance'" in remarks[0]
    assert "did you mean 'containers'" in remarks[1]


def test_a_null_is_as_good_as_absent() -> None:
    assert review({"confidential": None, "cloud": {"computing": {"instances": None}}}) == ([], [])


def test_no_key_of_the_table_is_unknown_to_the_serving_process() -> None:
    """A service file goes to `recserve serve` as well: what deploying takes must not be a mistake there."""
    refused = {key for key, one in KEYS[""].items() if one.fate is Fate.REFUSED} | {"containers"}
    ours = {"cronscaler", "generate_token"}
    known = {key: None for key in KEYS[""] if key not in refused | ours}
    assert load(known, {}).warnings == ()
