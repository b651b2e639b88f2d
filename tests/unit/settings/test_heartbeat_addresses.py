"""Where a heartbeat may be pinged: hosts of the settings, JSM itself, or a sandbox on loopback."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.heartbeat_settings import split_url
from tests.unit.settings.test_heartbeat_settings import JSM, SANDBOX, URL, load, refusal


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("hidden-7f", "is no address"),
        ("hc-ping.com/hidden-7f", "is no address"),
        ("https:///hidden-7f", "is no address"),
        ("https://hc-ping.com:99999/hidden-7f", "is no address"),
        ("https://hc-ping.com:/hidden-7f", "is no address"),
        ("https://hc-ping.com/hidden 7f", "is no address"),
        ("https://hc-ping.com\\@evil.example/hidden-7f", "is no address"),
        ("https://hc-ping.com/hidden-\u00fc", "is no address"),
        ("https://hc-ping.com/hidden-\udcff", "is no address"),
        ("https://hc-ping.com/hidden\n-7f", "is no address"),
        ("https://[hc-ping.com/hidden-7f", "is no address"),
        ("https://me:hidden-7f@hc-ping.com/", "must have no user and password"),
        ("https://hc-ping.com@evil.example/hidden-7f", "must have no user and password"),
        ("https://hc-ping.com/hidden-7f#part", "must have no #"),
        ("http://hc-ping.com/hidden-7f", "must begin with https://"),
        ("ftp://hc-ping.com/hidden-7f", "must begin with https://"),
        ("file://hc-ping.com/etc/hidden-7f", "must begin with https://"),
        ("https://evil.example/hidden-7f", "names a host that is not one of"),
        ("https://x.hc-ping.com/hidden-7f", "names a host that is not one of"),
        ("https://hc-ping.com.evil.example/hidden-7f", "names a host that is not one of"),
        ("https://hc-ping.com./hidden-7f", "names a host that is not one of"),
        ("http://127.0.0.1:8000/hidden-7f", "names a host that is not one of"),
    ],
)
def test_an_address_that_is_not_allowed_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    text = refusal(monkeypatch, URL | {"URL": url})
    assert text.startswith(f"STREAM_APP_HEARTBEAT__URL: (hidden) {why}")
    assert "evil" not in text


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://hc-ping.com/7f", "hc-ping.com"),
        (" https://HC-PING.com/7f\t", "HC-ping.com"),
        ("https://health.acme.example:8443/ping/7f?run=1", "health.acme.example"),
        ("http://127.0.0.1:8000/ping/7f", "127.0.0.1"),
        ("http://localhost:8000/ping/7f", "localhost"),
        ("http://[::1]:8000/ping/7f", "::1"),
    ],
)
def test_an_address_at_an_allowed_host_is_taken(
    monkeypatch: pytest.MonkeyPatch, url: str, hosts: str
) -> None:
    settings = load(monkeypatch, URL | {"URL": url, "URL_HOSTS": hosts})
    assert settings.url is not None
    assert settings.url.get_secret_value() == url


@pytest.mark.parametrize("host", ["https://hc-ping.com", "hc-ping.com/x", "*.x.com", "a b", "-"])
def test_a_host_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    text = refusal(monkeypatch, URL | {"URL_HOSTS": host})
    assert text.startswith("STREAM_APP_HEARTBEAT__URL_HOSTS: ")
    assert "the host 1 of 1 (hidden) is none: write names without https://" in text


@pytest.mark.parametrize("secret", ["ATATT3xFfGF0fakeTOKEN_not-REAL=0123456789", URL["URL"]])
def test_a_secret_in_the_address_of_jsm_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    for value in (f"https://me:{secret}@api.atlassian.com/jsm/ops/api", f"https://x/?t={secret}"):
        text = refusal(monkeypatch, JSM | {"JSM_API": value})
        assert "TOKEN" not in text


@pytest.mark.parametrize(
    "api",
    [
        "https://api.atlassian.com.evil.example/jsm/ops/api",
        "https://api.atlassian.com/jsm/ops",
        "http://api.atlassian.com/jsm/ops/api",
        "http://127.0.0.1:8481/jsm/ops/api",
        "http://127.0.0.1:8480/jsm/ops/integration",
        "nonsense",
    ],
)
def test_a_token_goes_to_jsm_or_to_the_sandbox_only(
    monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    text = refusal(monkeypatch, JSM | {"JSM_API": api}, {"DELIVERY__SANDBOX_URL": SANDBOX})
    host = re.sub("(://[^/]*).*", r"\1/…", api)
    assert text.startswith(f"STREAM_APP_HEARTBEAT__JSM_API: '{host}' is not allowed: ")


@pytest.mark.parametrize("api", [f"{SANDBOX}/jsm/ops/api", f"{SANDBOX}/jsm/ops/api/"])
def test_a_sandbox_that_the_setting_names_is_allowed(
    monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    assert load(monkeypatch, JSM | {"JSM_API": api}, {"DELIVERY__SANDBOX_URL": SANDBOX})


def test_a_sandbox_off_loopback_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = "http://sandbox.acme.example"
    values = JSM | {"JSM_API": f"{sandbox}/jsm/ops/api"}
    assert "is not allowed" in refusal(monkeypatch, values, {"DELIVERY__SANDBOX_URL": sandbox})


@given(st.text())
def test_no_text_breaks_the_reading_of_an_address(text: str) -> None:
    parts = split_url(f"https://hc-ping.com/{text}")
    assert parts is None or parts.hostname == "hc-ping.com"
    split_url(text)
