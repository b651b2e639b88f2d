"""A wrong or half-filled heartbeat is one line: the setting, its value, and the next step."""

from __future__ import annotations

import itertools

import pytest

from stream_app.domain.errors import ConfigurationError
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.settings import load_settings

OPSGENIE = {"TARGET": "opsgenie", "NAME": "pager", "INTEGRATION_ID": "7"}
JSM = {
    "TARGET": "jsm",
    "NAME": "pager",
    "CLOUD_ID": "11111111-2222-3333-4444-555555555555",
    "TEAM_ID": "4b26961a-a837-49d2-a1fe-0973013e3c3b",
    "EMAIL": "ops@acme.example",
    "API_TOKEN": "ATATT3-fake-token=1A2B3C4D",
}
URL = {
    "TARGET": "url",
    "URL": "https://hc-ping.com/7f-secret?token=8e-secret",
    "URL_HOSTS": "nosnch.in, hc-ping.com",
}
TARGETS = {"opsgenie": OPSGENIE, "jsm": JSM, "url": URL}
SANDBOX = "http://127.0.0.1:8480"
SECRETS = ("ATATT3", "7f-secret", "8e-secret", "hidden-")


def load(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], others: dict[str, str] | None = None
) -> HeartbeatSettings:
    for name, value in values.items():
        monkeypatch.setenv(f"STREAM_APP_HEARTBEAT__{name}", value)
    for name, value in (others or {}).items():
        monkeypatch.setenv(f"STREAM_APP_{name}", value)
    return load_settings().heartbeat


def refusal(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], others: dict[str, str] | None = None
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, values, others)
    text = str(caught.value)
    assert "\n" not in text
    assert not [secret for secret in SECRETS if secret in text]
    assert text.isprintable()
    return text


def without(values: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in names}


def test_it_is_off_unless_a_target_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, {}).target is None


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_can_be_set(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    settings = load(monkeypatch, TARGETS[target])
    assert settings.target == target
    assert not [secret for secret in SECRETS if secret in repr(settings)]


def test_an_unknown_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, OPSGENIE | {"TARGET": "pagerduty"})
    assert text == "STREAM_APP_HEARTBEAT__TARGET: Input should be 'opsgenie', 'jsm' or 'url'"


@pytest.mark.parametrize(
    ("target", "missing"),
    [(target, name) for target, values in TARGETS.items() for name in list(values)[1:]],
)
def test_what_a_target_needs_is_named(
    monkeypatch: pytest.MonkeyPatch, target: str, missing: str
) -> None:
    text = refusal(monkeypatch, without(TARGETS[target], missing))
    place = f"STREAM_APP_HEARTBEAT__TARGET is {target}"
    assert text == f"{place}: set STREAM_APP_HEARTBEAT__{missing}, too"


@pytest.mark.parametrize("target", TARGETS)
def test_all_that_a_target_needs_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    text = refusal(monkeypatch, {"TARGET": target})
    for name in list(TARGETS[target])[1:]:
        assert f"STREAM_APP_HEARTBEAT__{name}" in text


@pytest.mark.parametrize("name", sorted({n for v in TARGETS.values() for n in list(v)[1:]}))
def test_what_is_set_without_a_target_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    value = (OPSGENIE | JSM | URL)[name]
    assert refusal(monkeypatch, {name: value}) == (
        f"STREAM_APP_HEARTBEAT__{name} is set, but STREAM_APP_HEARTBEAT__TARGET is not: set that "
        "to opsgenie, jsm or url, or unset the other"
    )


@pytest.mark.parametrize(
    ("target", "foreign"),
    [
        (target, name)
        for target, other in itertools.permutations(TARGETS, 2)
        for name in TARGETS[other]
        if name not in TARGETS[target]
    ],
)
def test_what_belongs_to_another_target_is_named(
    monkeypatch: pytest.MonkeyPatch, target: str, foreign: str
) -> None:
    text = refusal(monkeypatch, TARGETS[target] | {foreign: (OPSGENIE | JSM | URL)[foreign]})
    assert text == (
        f"STREAM_APP_HEARTBEAT__TARGET is {target}: STREAM_APP_HEARTBEAT__{foreign} is not used "
        "then: unset it, or set another target"
    )


@pytest.mark.parametrize(
    ("target", "name"),
    [(target, name) for target, values in TARGETS.items() for name in values],
)
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_value_is_said_to_be_empty(
    monkeypatch: pytest.MonkeyPatch, target: str, name: str, empty: str
) -> None:
    text = refusal(monkeypatch, TARGETS[target] | {name: empty})
    if name == "URL_HOSTS":  # an empty list is none
        assert text == f"STREAM_APP_HEARTBEAT__TARGET is url: set STREAM_APP_HEARTBEAT__{name}, too"
    else:
        assert text == (
            f"STREAM_APP_HEARTBEAT__{name} is empty: give it a value, or leave the variable out"
        )


@pytest.mark.parametrize(
    ("name", "value", "shown", "why"),
    [
        ("NAME", " pager", "' pager'", "has blanks around it"),
        ("NAME", "pa\tger", r"'pa\tger'", "has characters that cannot be printed"),
        ("NAME", "pa\u202eger", r"pa\u202eger", "has characters that cannot be printed"),
        ("NAME", "pa\udcffger", "udcff", "has characters that cannot be printed"),
        ("NAME", ".", "'.'", "cannot stand in an address"),
        ("NAME", "..", "'..'", "cannot stand in an address"),
        ("NAME", "x" * 201, "'" + "x" * 100 + "…'", "has more than 200 characters"),
        ("CLOUD_ID", "acme.atlassian.net", "'acme.atlassian.net'", "is no id"),
        ("CLOUD_ID", "..", "'..'", "is no id"),
        ("TEAM_ID", "a/b", "'a/b'", "is no id"),
        ("TEAM_ID", "a?b", "'a?b'", "is no id"),
        ("EMAIL", "ops", "'ops'", "is no e-mail address"),
        ("EMAIL", "ops:x@acme.example", "'ops:x@acme.example'", "is no e-mail address"),
        ("API_TOKEN", "hidden-a hidden-b", "(hidden)", "is no API token"),
        ("API_TOKEN", "hidden-\u00fc", "(hidden)", "is no API token"),
        ("API_TOKEN", "hidden-\udcff", "(hidden)", "is no API token"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str, why: str
) -> None:
    text = refusal(monkeypatch, JSM | {name: value})
    assert text.startswith(f"STREAM_APP_HEARTBEAT__{name}: ")
    assert shown in text
    assert f" {why}: " in text


@pytest.mark.parametrize("secret", ["ATATT3xFfGF0fakeTOKEN_not-REAL=0123456789", URL["URL"]])
@pytest.mark.parametrize(
    ("target", "name"),
    [(target, name) for target, values in TARGETS.items() for name in list(values)[1:]],
)
def test_a_secret_in_the_wrong_setting_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, target: str, name: str, secret: str
) -> None:
    for value in (secret, f" {secret} ", f"ops@{secret}", f"https://me:{secret}@api.atlassian.com"):
        text = ""
        try:
            load(monkeypatch, TARGETS[target] | {name: value})
        except ConfigurationError as error:
            text = str(error)
        assert not [part for part in ("TOKEN", "012345", *SECRETS) if part in text]


@pytest.mark.parametrize("target", TARGETS)
def test_a_dry_run_pings_nobody(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    text = refusal(monkeypatch, TARGETS[target], {"DRY_RUN": "true"})
    assert text.startswith(
        f"STREAM_APP_HEARTBEAT__TARGET is {target}, but STREAM_APP_DRY_RUN is on: "
    )


@pytest.mark.parametrize("target", ["jsm", "url"])
def test_a_real_service_is_never_pinged_faster(
    monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    others = {"DELIVERY__SANDBOX_URL": SANDBOX, "DELIVERY__RETRY_SCALE": "0.01"}
    text = refusal(monkeypatch, TARGETS[target], others)
    assert text.startswith(f"STREAM_APP_HEARTBEAT__TARGET is {target}, and STREAM_APP_DELIVERY__R")
    assert "0.01: a real service is pinged once a minute" in text


@pytest.mark.parametrize(
    "values",
    [
        OPSGENIE,  # its endpoint is that of the integration, which is checked before each ping
        JSM | {"JSM_API": f"{SANDBOX}/jsm/ops/api"},
        URL | {"URL": f"{SANDBOX}/ping", "URL_HOSTS": "127.0.0.1"},
    ],
)
def test_a_service_on_loopback_may_be_pinged_faster(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str]
) -> None:
    others = {"DELIVERY__SANDBOX_URL": SANDBOX, "DELIVERY__RETRY_SCALE": "0.01"}
    assert load(monkeypatch, values, others)


KEY = "4B26961a-a837-49d2-a1fe-0973013e3c3b"


@pytest.mark.parametrize("target", [OPSGENIE, JSM])
@pytest.mark.parametrize("key", [KEY, KEY.replace("-", ""), f" {KEY} "])
def test_a_key_in_place_of_the_name_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, target: dict[str, str], key: str
) -> None:
    text = refusal(monkeypatch, target | {"NAME": key})
    assert text.startswith("STREAM_APP_HEARTBEAT__NAME: (hidden) looks like a key")
    for place in ("INTEGRATION_ID", "API_TOKEN", "URL"):
        assert f"STREAM_APP_HEARTBEAT__{place}" in text
    assert "4b26961a" not in text.lower()


def test_a_name_may_end_in_such_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"pager {KEY}"
    assert load(monkeypatch, OPSGENIE | {"NAME": name}).name == name
