"""Settings that are more than a number or a word."""

from __future__ import annotations

import pytest

from stream_app.domain.errors import ConfigurationError
from stream_app.settings import load_settings

NAME = "STREAM_APP_CONSOLE_HOSTS"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", {}),
        ("EU=console.acme.example", {"EU": "console.acme.example"}),
        (" EU=a.example:8443, UK2=b-1.example ,", {"EU": "a.example:8443", "UK2": "b-1.example"}),
    ],
)
def test_console_hosts_are_given_by_cloud(
    monkeypatch: pytest.MonkeyPatch, text: str, hosts: dict[str, str]
) -> None:
    monkeypatch.setenv(NAME, text)
    assert load_settings().console_hosts == hosts


def test_without_console_hosts_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert load_settings().console_hosts == {}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("EU", "EU="),
        ("EU=", "EU="),
        ("=a.example", "=a.example"),
        ("eu=a.example", "eu=a.example"),
        ("EU=https://a.example", "EU=https://a.example"),
        ("EU=a.example/path", "EU=a.example/path"),
        ("EU=a.example:port", "EU=a.example:port"),
        ("EU=a..example", "EU=a..example"),
        ("EU=A.example", "EU=A.example"),
        ("US=a.example,EU=bad host", "EU=bad host"),
        ("EU=a.example,EU=b.example", "EU"),
    ],
)
def test_a_console_host_that_is_none_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, text: str, part: str
) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert str(error.value).startswith(f"{NAME}: ")
    assert part in str(error.value)
