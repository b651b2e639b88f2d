"""Notes and closes by the client at the sandbox: valid requests, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from stream_app.domain.configuration.alert_options import NO_OPTIONS, AlertOptions
from stream_app.opsgenie.destination import Destination, Destinations, allowed_endpoint, note_body
from stream_app.opsgenie.endpoints import JSM_PATH
from stream_app.opsgenie.outcome import Outcome
from stream_app.opsgenie.payload import alert_body
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange
from stream_app.setting_groups import DeliverySettings
from tests.integration.notifier.requests.opsgenie_description import problems

KEY = "00000000-1111-2222-3333-444444444444"
ODD_ALIASES = [
    "stream-app:1111:episode:0123456789abcdef0123456789abcdef",
    "a/b?c=d&e#f%2Fg+h i",
    "naïve: 攻撃 \U0001f6a8",
    "x" * 600,
    "line\nbreak\x00<b>",
]


class Place:
    """A sandbox, a destination at it, and the problems that its description has with requests."""

    def __init__(self, path: str) -> None:
        self.sandbox = SandboxOpsgenie(processing_ms=0)
        self.sandbox._api.steps.append(self._check)
        self.problems: list[str] = []
        self._path = path

    async def _check(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method == "POST":
            body = orjson.loads(await request.read())
            self.problems += problems(request.path, request.query, body)

    def destination(self, destinations: Destinations, url: str) -> Destination:
        settings = DeliverySettings(sandbox_url=url)
        return destinations.open(allowed_endpoint(url + self._path, settings), KEY)


@pytest.fixture(params=["", JSM_PATH], ids=["opsgenie", "jsm"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Place, Destination]]:
    found = Place(str(request.param))
    url = await found.sandbox.start()
    async with Destinations(DeliverySettings(sandbox_url=url)) as destinations:
        yield found, found.destination(destinations, url)
    await found.sandbox.stop()


def created(alias: str) -> bytes:
    return alert_body("m", "d", alias, {}, NO_OPTIONS)


@pytest.mark.parametrize("alias", ODD_ALIASES)
async def test_a_note_and_a_close_find_the_alert_of_any_alias(
    place: tuple[Place, Destination], alias: str
) -> None:
    around, service = place
    text = "37 more windows <script>\x07" + "x" * 30_000
    options = AlertOptions(source="\U0001f6a8" * 60)
    outcomes = [
        await service.post(created(alias)),
        await service.note(alias, note_body(text, options)),
        await service.close(alias, note_body("over", options)),
        await service.close(alias),
    ]
    assert [outcome.accepted for outcome in outcomes] == [True] * 4
    assert around.problems == []
    (alert,) = around.sandbox.alerts
    first, last = alert.notes
    assert (first.text[:16], len(first.text), last.text) == ("37 more windows ", 25_000, "over")
    assert alert.status == "closed"


async def test_what_is_done_before_the_alert_is_processed_is_lost_and_its_state_says_so(
    place: tuple[Place, Destination],
) -> None:
    around, service = place
    around.sandbox._state._processing_ms = 60_000
    first = await service.post(created("a"))
    assert first.request_id
    assert (await service.status(first.request_id)).outcome.is_not_processed
    early = [await service.note("a", note_body("x", NO_OPTIONS)), await service.close("a")]
    around.sandbox._state._processing_ms = 0
    assert [outcome.accepted for outcome in early] == [True, True]
    (alert,) = around.sandbox.alerts
    assert (alert.status, alert.notes) == ("open", ())
    assert (await service.close("a")).accepted
    assert around.sandbox.alerts[0].status == "closed"


async def test_a_refused_note_or_close_is_no_success_and_no_other_404_is(
    place: tuple[Place, Destination],
) -> None:
    around, service = place
    on = (Operation.NOTE, Operation.CLOSE)
    around.sandbox.fail(Fault(kind=FaultKind.STATUS, status=404, on=on))
    outcomes: list[Outcome] = [
        await service.note("a", note_body("x", NO_OPTIONS)),
        await service.close("a"),
    ]
    assert [(one.accepted, one.status) for one in outcomes] == [(False, 404)] * 2
    around.sandbox.heal()
    empty = await service.note("a", note_body("", NO_OPTIONS))
    assert (empty.accepted, empty.status) == (False, 422)


async def test_what_names_the_alert_is_the_id_unless_the_request_says_alias() -> None:
    sandbox = SandboxOpsgenie(processing_ms=0)
    url = await sandbox.start()
    try:
        async with Destinations(DeliverySettings(sandbox_url=url)) as destinations:
            service = destinations.open(
                allowed_endpoint(url, DeliverySettings(sandbox_url=url)), KEY
            )
            await service.post(created("a"))
            client, endpoint = service._client, service.endpoint
            paths = ("a/close", "a/close?identifierType=id", "a/close?identifierType=name")
            found = [
                (await client.attempt("POST", f"{endpoint.alerts_url}/{path}", KEY, b""))[0]
                for path in paths
            ]
            assert [outcome.status for outcome in found] == [202, 202, 422]
            assert sandbox.alerts[0].status == "open"
            by_id = f"{endpoint.alerts_url}/{sandbox.alerts[0].id}/close"
            await client.attempt("POST", by_id, KEY, b"")
            await asyncio.sleep(0)
            assert sandbox.alerts[0].status == "closed"
    finally:
        await sandbox.stop()
