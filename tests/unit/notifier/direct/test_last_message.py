"""The last message of an integration, against the real sandbox."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aiohttp import web
from pydantic import SecretStr

from stream_app.domain.configuration.alert_options import AlertOptions, Priority
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.notices.config_changes import NoticeType
from stream_app.notifier.direct.last_message import (
    LastMessageResult,
    LastMessageSender,
    wants_last_message,
)
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.setting_groups import DeliverySettings
from stream_app.settings import Settings

KEY = "00000000-1111-2222-3333-444444444444"
ACME = Client(1111, "Acme Retail", "EU", {})
DISABLED = NoticeType.DISABLE_INTEGRATION


def integration(api: str, **changes: Any) -> Integration:
    found = Integration(
        521, 1111, "On-call", True, "opsgenie", api, "env:STREAM_APP_KEY_1111_ACME", ("system",)
    )
    return msgspec.structs.replace(found, **changes)


class Bench:
    def __init__(self, *answers: web.Response) -> None:
        self.sandbox = SandboxOpsgenie()
        self.waits: list[float] = []
        self._answers = list(answers)

    async def send(self, times: int = 1, proxy_url: str = "", **changes: Any) -> LastMessageResult:
        async def answer(_: Any) -> web.Response | None:
            return self._answers.pop(0) if self._answers else None

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        self.sandbox._api.steps.append(answer)
        url = await self.sandbox.start()
        try:
            proxy = SecretStr(proxy_url)
            settings = Settings(delivery=DeliverySettings(sandbox_url=url, proxy_url=proxy))
            messages = LastMessageSender(settings, "stream-app apply", sleep)
            for _ in range(times):
                sent = await messages.send(integration(**{"api": url} | changes), ACME, DISABLED)
        finally:
            await self.sandbox.stop()
        return sent


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_KEY_1111_ACME", KEY)


async def test_it_says_what_happened_and_who_did_it() -> None:
    bench = Bench()
    assert await bench.send() == LastMessageResult(521, 1)
    (alert,) = bench.sandbox.alerts
    assert alert.message == "[Wallarm] Integration was disabled"
    assert alert.description == (
        "Notification type: disable_integration\n\n"
        'The integration "On-call" gets no further messages.\n\nClient: Acme Retail\nCloud: EU'
    )
    assert alert.details == {
        "client_name": "Acme Retail",
        "cloud": "EU",
        "notification_type": "disable_integration",
        "integration_id": "521",
        "integration_type": "opsgenie",
        "integration_name": "On-call",
        "actor": "stream-app apply",
    }


async def test_it_carries_the_options_of_the_integration() -> None:
    bench = Bench()
    await bench.send(alert=AlertOptions(Priority.P4, tags=("waf",), source="acme"))
    (alert,) = bench.sandbox.alerts
    assert (alert.priority, alert.tags, alert.source) == ("P4", ("waf",), "acme")


async def test_a_command_that_is_repeated_does_not_page_twice() -> None:
    bench = Bench()
    await bench.send(times=2)
    assert [alert.requests for alert in bench.sandbox.alerts] == [2]


async def test_it_is_resent_on_the_first_cycle_only() -> None:
    bench = Bench(*(web.Response(status=500) for _ in range(6)))
    sent = await bench.send()
    assert bench.waits == [1, 3, 5, 10, 10]
    assert sent.requests == 6
    assert "500" in sent.problem
    assert bench.sandbox.alerts == []


@pytest.mark.parametrize("status", [401, 403, 422])
async def test_a_refusal_for_good_is_not_resent(status: int) -> None:
    bench = Bench(web.Response(status=status))
    assert (await bench.send()).requests == 1
    assert bench.waits == []


@pytest.mark.parametrize(("asked", "waits"), [("7", [7]), ("3600", [])])
async def test_it_waits_as_long_as_the_service_asks_within_a_bound(
    asked: str, waits: list[float]
) -> None:
    bench = Bench(web.Response(status=429, headers={"Retry-After": asked}))
    await bench.send()
    assert bench.waits == waits


async def test_without_its_key_or_with_another_host_nothing_is_sent() -> None:
    bench = Bench()
    sent = await bench.send(key="env:STREAM_APP_KEY_1111_MISSING")
    assert (sent.requests, "STREAM_APP_KEY_1111_MISSING" in sent.problem) == (0, True)
    sent = await bench.send(api="https://evil.example/v2/alerts")
    assert (sent.requests, "is not allowed" in sent.problem) == (0, True)
    sent = await bench.send(proxy_url=f"socks5://bo:{KEY}@127.0.0.1:1080")
    assert (sent.requests, "STREAM_APP_DELIVERY__PROXY_URL" in sent.problem) == (0, True)
    assert KEY not in sent.problem
    assert bench.sandbox.requests == []


def test_only_integrations_with_system_selected_want_a_last_message() -> None:
    assert wants_last_message(integration("x"))
    assert not wants_last_message(integration("x", events=("rules_and_triggers",)))
