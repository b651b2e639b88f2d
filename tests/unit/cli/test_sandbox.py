"""Where `stream-app sandbox` listens when nobody says."""

from __future__ import annotations

import pytest

from stream_app.cli.sandbox.serve import DEFAULT_PORT, _usual_port


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:8481", 8481),
        ("http://[::1]:8482/", 8482),
        ("http://127.0.0.1", DEFAULT_PORT),
        ("http://127.0.0.1:99999", DEFAULT_PORT),
        ("nonsense", DEFAULT_PORT),
        ("", DEFAULT_PORT),
    ],
)
def test_it_is_where_the_workers_of_this_environment_look_for_it(
    monkeypatch: pytest.MonkeyPatch, url: str, port: int
) -> None:
    monkeypatch.setenv("STREAM_APP_DELIVERY__SANDBOX_URL", url)
    assert _usual_port() == port


def test_without_such_a_setting_it_is_the_port_of_the_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STREAM_APP_DELIVERY__SANDBOX_URL", raising=False)
    assert _usual_port() == DEFAULT_PORT == 8480
