"""The one interface to an integration's service, against the real sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stream_app.domain.configuration.alert_options import AlertOptions
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.opsgenie.destination import Destination, Destinations, alert_body
from stream_app.opsgenie.endpoints import JSM_PATH, resolve_endpoint
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.setting_groups import DeliverySettings

KEY = "00000000-1111-2222-3333-444444444444"
US, EU = "https://api.opsgenie.com", "https://api.eu.opsgenie.com"
BODY = alert_body("Title", "Text", "acme:1", {}, AlertOptions())


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxOpsgenie]:
    sandbox = SandboxOpsgenie(processing_ms=0)
    yield sandbox
    await sandbox.stop()


@pytest.fixture(params=["", JSM_PATH])
async def destination(
    sandbox: SandboxOpsgenie, request: pytest.FixtureRequest
) -> AsyncIterator[Destination]:
    url = await sandbox.start()
    async with Destinations(DeliverySettings()) as destinations:
        yield destinations.open(resolve_endpoint(url + request.param, url), KEY)


async def test_an_alert_is_posted_asked_about_and_closed(
    destination: Destination, sandbox: SandboxOpsgenie
) -> None:
    outcome = await destination.post(BODY)
    assert outcome.accepted
    assert outcome.request_id
    status = await destination.status(outcome.request_id)
    assert (status.is_success, status.status) == (True, "Created alert")
    check = await destination.check(outcome.request_id, asyncio.sleep, 0.001)
    assert (check.outcome, check.status) == (CheckOutcome.SUCCESS, "Created alert")
    assert (await destination.close("acme:1")).accepted
    assert [(alert.alias, alert.status) for alert in sandbox.alerts] == [("acme:1", "closed")]


async def test_a_service_is_reached_and_a_key_probed_without_an_alert(
    destination: Destination, sandbox: SandboxOpsgenie
) -> None:
    assert (await destination.reach()).is_reached
    assert (await destination.probe()).key_works
    assert sandbox.alerts == []


def test_the_other_region_has_the_same_key() -> None:
    here = Destinations(DeliverySettings()).open(resolve_endpoint(US, None), KEY)
    found = here.other_region()
    assert found is not None
    name, there = found
    assert (name, there.key, there.endpoint) == ("EU", KEY, resolve_endpoint(EU, None))


def test_a_sandbox_has_no_other_region_and_no_key_is_shown() -> None:
    url = "http://127.0.0.1:8480"
    here = Destinations(DeliverySettings()).open(resolve_endpoint(url, url), KEY)
    assert here.other_region() is None
    assert KEY not in repr(here)
