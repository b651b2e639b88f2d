"""The test of an integration against real sandboxes: every step, and the result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from stream_app.domain.configuration.alert_options import AlertOptions, Priority
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import EVENTS, Integration
from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.key_ring import KeyRing
from stream_app.notifier.direct import trial_messages
from stream_app.notifier.direct.trial import Trial
from stream_app.notifier.direct.trial_report import Step, StepReporter, TrialResult, worst
from stream_app.opsgenie import destination
from stream_app.opsgenie.endpoints import JSM_PATH, Endpoint, resolve_endpoint
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange
from stream_app.setting_groups import DeliverySettings

KEY = "00000000-1111-2222-3333-444444444444"
ACME = Client(1111, "Acme Retail", "EU", {})
NOT_YET = {"X-Opsgenie-Errortype": "RequestNotProcessed"}
OK, REFUSED, RETRYABLE = TrialResult.OK, TrialResult.REFUSED, TrialResult.RETRYABLE
Answer = tuple[int, Mapping[str, object], Mapping[str, str]]


class Bench:
    """A trial of an integration at a sandbox that can be told how to answer."""

    def __init__(self, sandbox: SandboxOpsgenie, url: str) -> None:
        self.sandbox, self.url = sandbox, url
        self.steps: list[Step] = []
        self.waits: list[float] = []
        #: create, status or close -> the answers to come; None: the sandbox's own.
        self.answers: dict[str, list[Answer | None]] = {}
        self.elsewhere: tuple[str, Endpoint] | None = None
        self.asked_elsewhere = 0
        self.key = KEY
        sandbox._api.steps.insert(0, self._answer)

    def trial(self, **settings: Any) -> Trial:
        return Trial(
            DeliverySettings(**{"sandbox_url": self.url, "retry_scale": 0.05} | settings),
            KeyRing(environ={"STREAM_APP_KEY_1111_ACME": self.key}),
            StepReporter(self.steps.append),
            self._sleep,
        )

    async def run(
        self, *events: str, silent: bool = False, keep_open: bool = False, **changes: Any
    ) -> TrialResult:
        integration = Integration(
            521, 1111, "On-call", True, "opsgenie", self.url, "env:STREAM_APP_KEY_1111_ACME", events
        )
        integration = msgspec.structs.replace(integration, **changes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(destination, "other_region", self._other)
            return await self.trial().run(integration, ACME, silent=silent, keep_open=keep_open)

    def told(self, stage: str = "") -> list[str]:
        """Return what was said, `status: text`, of one stage or of all."""
        return [f"{s.status}: {s.text}" for s in self.steps if stage in ("", s.stage)]

    def kinds(self) -> list[str]:
        return [_kind(request.method, request.path) for request in self.sandbox.requests]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(min(seconds, 0.005))

    def _other(self, _: Endpoint) -> tuple[str, Endpoint] | None:
        self.asked_elsewhere += 1
        return self.elsewhere

    async def _answer(self, exchange: Exchange) -> web.Response | None:
        left = self.answers.get(_kind(exchange.request.method, exchange.request.path))
        answer = left.pop(0) if left else None
        return None if answer is None else exchange.answer(*answer)


def _kind(method: str, path: str) -> str:
    if method == "GET":
        return "status"
    return "close" if path.endswith("/close") else "create"


def says(status: int, headers: Mapping[str, str] | None = None, **fields: object) -> Answer:
    return status, {"message": "as told", **fields}, headers or {}


def state(*, is_success: bool, status: str) -> Answer:
    return 200, {"data": {"isSuccess": is_success, "status": status}}, {}


#: What becomes of the probe if all is well.
PROBED = state(is_success=False, status="Alert does not exist")


@asynccontextmanager
async def running(*keys: str, processing_ms: int = 1) -> AsyncIterator[Bench]:
    sandbox = SandboxOpsgenie(keys=keys or None, processing_ms=processing_ms)
    url = await sandbox.start()
    try:
        yield Bench(sandbox, url)
    finally:
        await sandbox.stop()


async def test_all_steps_of_an_integration_that_works() -> None:
    async with running() as bench:
        assert await bench.run("system", "security_issue_high") is OK
        stages = [str(step.stage) for step in bench.steps]
    assert stages == [
        "configuration", "alerts", "host", "key", "key", "send", "send", "send", "status",
        "status", "close", "close",
    ]  # fmt: skip
    (alerts,) = bench.told("alerts")
    assert alerts.startswith("ok: deduplicate: window: each fired window of a trigger is an alert")
    told = [text for text in bench.told() if text not in bench.told("alerts")]
    assert told[0].startswith('ok: integration 521 "On-call" is valid; to http://127.0.0.1:')
    assert "connection is well" in told[1]
    assert "ok: the key works: HTTP 202" in told[2]
    assert "not verified against the real service" in told[2]
    assert told[3] == 'ok: that request has ended with "Alert does not exist", as it must be'
    assert told[4] == "note: 2 test alerts of priority P5 will be sent now, which may page somebody"
    assert told[7].startswith('ok: system: isSuccess true, "Created alert"')
    assert told[9] == "ok: system: closed again"
    first, second = bench.sandbox.alerts
    assert first.message == "[Test message] [Wallarm] New user was added to the company account"
    assert "johnsmith@example.com> with the role Analyst" in first.description
    assert first.details["user_role"] == "Analyst"
    assert "Risk: High" in second.description
    assert {a.priority for a in (first, second)} == {"P5"}
    assert {a.status for a in (first, second)} == {"closed"}
    assert first.alias.startswith("stream-app:1111:test:")
    assert first.alias != second.alias
    facts = [step.as_json() for step in bench.steps if step.stage == "status"]
    assert [(f["event"], f["is_success"], f["status"]) for f in facts] == [
        ("system", True, "Created alert"),
        ("security_issue_high", True, "Created alert"),
    ]
    assert KEY not in repr([step.as_json() for step in bench.steps])


async def test_every_event_gets_its_message_and_without_events_one_is_sent() -> None:
    async with running() as bench:
        assert await bench.run(*EVENTS) is OK
        assert len(bench.sandbox.alerts) == len(EVENTS)
        assert await bench.run() is OK
        assert bench.sandbox.alerts[-1].message == (
            "[Test message] [Wallarm] Test of the integration"
        )


async def test_the_options_of_the_integration_are_sent_except_its_priority() -> None:
    async with running() as bench:
        options = AlertOptions(Priority.P1, tags=("waf",), entity="shop")
        assert await bench.run(alert=options) is OK
    (alert,) = bench.sandbox.alerts
    assert (alert.priority, alert.tags, alert.entity) == ("P5", ("waf",), "shop")


async def test_a_second_test_makes_new_alerts() -> None:
    async with running() as bench:
        await bench.run("system", keep_open=True)
        await bench.run("system", keep_open=True)
        assert [(a.status, a.requests) for a in bench.sandbox.alerts] == [("open", 1)] * 2
    assert all("left open, alias stream-app:1111:test:" in text for text in bench.told("close"))


async def test_a_silent_test_sends_nothing() -> None:
    async with running() as bench:
        assert await bench.run("system", silent=True) is OK
        assert bench.sandbox.alerts == []
        assert bench.kinds() == ["close", "status"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"key": "env:STREAM_APP_KEY_1111_MISSING"},
            "STREAM_APP_KEY_1111_MISSING: the variable is not set",
        ),
        ({"api": "https://evil.example/v2/alerts"}, "is not allowed"),
        ({"api": "https://api.opsgenie.com"}, "RETRY_SCALE"),
    ],
)
async def test_an_invalid_configuration_is_reported_and_nothing_sent(
    changes: dict[str, Any], text: str
) -> None:
    async with running() as bench:
        assert await bench.run("system", **changes) is TrialResult.INVALID
        assert bench.sandbox.requests == []
    (told,) = bench.told()
    assert told.startswith("failed: ")
    assert text in told


async def test_a_service_that_is_not_there_is_retryable() -> None:
    async with running() as bench:
        await bench.sandbox.stop()
        assert await bench.run("system") is RETRYABLE
    assert "takes no connection" in bench.told("host")[0]
    assert [str(step.stage) for step in bench.steps] == ["configuration", "alerts", "host"]


@pytest.mark.parametrize(
    ("path", "repeat_notes", "notes"), [("", True, 0), (JSM_PATH, True, 1), (JSM_PATH, False, 0)]
)
async def test_what_the_chosen_mode_does_is_said_and_what_jsm_does_not_document(
    path: str, notes: int, *, repeat_notes: bool
) -> None:
    options = RepeatOptions(Deduplicate.EPISODE, 3600, 7200, repeat_notes)
    async with running() as bench:
        assert await bench.run(silent=True, repeats=options, api=bench.url + path) is OK
    first, *others = bench.told("alerts")
    assert first.startswith(
        "ok: deduplicate: episode, repeat_seconds: 3600, close_after_seconds: 7200: the windows of "
        "one attack are one alert, which the first one opens; it is repeated at most every 1 hour"
    )
    assert first.endswith("it is closed when no window has fired for 2 hours")
    assert ("with a note" in first) is repeat_notes
    assert len(others) == notes
    assert all(
        "documents notes by an integration's key, but not their path" in text for text in others
    )


@pytest.mark.parametrize(
    ("answer", "result", "text"),
    [
        (says(401), REFUSED, "the key is wrong"),
        (says(402), REFUSED, "the plan of the account does not allow this"),
        (says(403), REFUSED, "check the rights"),
        (says(403, code=40301), REFUSED, "of the wrong kind: use one of an API integration"),
        (says(422, message="Key format is not valid!"), REFUSED, "the key is malformed"),
        (says(301), REFUSED, "redirects elsewhere"),
        (says(405), REFUSED, "check target.api"),
        (says(429), RETRYABLE, "more requests than its plan allows"),
        (says(503), RETRYABLE, "the service has a fault"),
    ],
)
async def test_a_key_that_does_not_work_ends_the_test(
    answer: Answer, result: TrialResult, text: str
) -> None:
    async with running() as bench:
        bench.answers["close"] = [answer]
        assert await bench.run("system") is result
        assert bench.kinds() == ["close"]
        assert bench.asked_elsewhere == (answer[0] == 401)
    assert text in bench.told("key")[0]
    assert bench.steps[-1].as_json()["http_status"] == answer[0]


async def test_a_404_to_the_probe_says_that_the_key_works() -> None:
    async with running() as bench:
        bench.answers["close"] = [says(404)]
        assert await bench.run("system") is OK
    assert bench.told("key")[0].startswith("ok: the key works: HTTP 404")


async def test_a_malformed_key_is_reported_as_such() -> None:
    async with running() as bench:
        bench.key = "not-a-uuid"
        assert await bench.run("system") is REFUSED
    assert "the key is malformed" in bench.told("key")[0]
    assert "not-a-uuid" not in repr(bench.steps)


async def test_a_key_of_the_other_region_is_found_there() -> None:
    async with running("another") as here, running(KEY) as there:
        here.elsewhere = ("EU", resolve_endpoint(there.url, there.url))
        assert await here.run("system") is REFUSED
        assert here.kinds() == ["close"]
        assert there.kinds() == ["close"]
        assert there.sandbox.alerts == []
    step = here.steps[-1]
    url = f"{there.url}/v2/alerts"
    assert step.text == f"the key belongs to the EU instance: use {url}"
    assert step.as_json()["use"] == url


async def test_a_key_that_no_region_accepts_is_reported() -> None:
    async with running("another") as here, running("another") as there:
        here.elsewhere = ("US", resolve_endpoint(there.url, there.url))
        assert await here.run("system") is REFUSED
        assert "the US instance refuses the key, too" in here.told()[-1]
        await there.sandbox.stop()
        assert await here.run("system") is REFUSED
        assert "the US instance could not be asked: no connection" in here.told()[-1]


async def test_jsm_has_no_other_region() -> None:
    async with running("another") as bench:
        assert await bench.run("system", api=f"{bench.url}/jsm/ops/integration") is REFUSED
        assert bench.kinds() == ["close"]
        assert len(bench.told("key")) == 1


@pytest.mark.parametrize(
    ("answer", "result", "text"),
    [
        (says(402), REFUSED, "plan"),
        (says(404), REFUSED, "check target.api"),
        (says(422, errors={"message": "too long"}), REFUSED, "message: too long"),
        (says(429), RETRYABLE, "more requests"),
        (says(500), RETRYABLE, "fault"),
    ],
)
async def test_a_message_that_is_not_accepted_ends_the_sending_and_the_sent_ones_are_closed(
    answer: Answer, result: TrialResult, text: str
) -> None:
    async with running() as bench:
        bench.answers["create"] = [None, answer]
        assert await bench.run("system", "rules_and_triggers", "security_issue_low") is result
        assert [alert.status for alert in bench.sandbox.alerts] == ["closed"]
    _, first, second, third = bench.told("send")
    assert first.startswith("ok: system: ")
    assert second.startswith("failed: rules_and_triggers: not accepted: HTTP ")
    assert text in second
    assert third == "note: not sent: security_issue_low"
    assert len(bench.told("status")) == len(bench.told("close")) == 1


async def test_an_accepted_message_that_becomes_no_alert_is_a_refusal() -> None:
    async with running() as bench:
        bench.answers["status"] = [PROBED, state(is_success=False, status="Dropped by a rule")]
        assert await bench.run("system") is REFUSED
        assert bench.sandbox.alerts[0].status == "closed"
    (told,) = bench.told("status")
    assert told.startswith('failed: system: isSuccess false, "Dropped by a rule": ')


@pytest.mark.parametrize(
    ("answer", "result", "text", "asked"),
    [
        (says(404, NOT_YET), RETRYABLE, "not processed it yet", 3),
        (says(404), RETRYABLE, "does not know the request", 3),
        (says(500), RETRYABLE, "fault", 3),
        (says(429), RETRYABLE, "more requests", 1),
        (says(402), REFUSED, "plan", 1),
        (says(401), OK, "HTTP 401", 1),
        (says(403), OK, "HTTP 403", 1),
    ],
)
async def test_a_status_that_the_service_does_not_tell_is_unknown(
    answer: Answer, result: TrialResult, text: str, asked: int
) -> None:
    async with running() as bench:
        bench.answers["status"] = [PROBED, *[answer] * 3]
        assert await bench.run("system") is result
        assert bench.kinds().count("status") == 1 + asked
        assert bench.sandbox.alerts[0].status == "closed"
    (told,) = bench.told("status")
    assert told.startswith("unknown: system: accepted, and what became of it is not known: ")
    assert text in told
    assert bench.waits == pytest.approx([0.1, *[0.1, 0.25, 0.75][:asked]])


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_jsm_may_keep_the_status_to_itself_and_the_test_does_not_fail(status: int) -> None:
    async with running() as bench:
        bench.answers["status"] = [says(status)] * 2
        assert await bench.run("system", api=f"{bench.url}/jsm/ops/integration") is OK
        assert bench.sandbox.alerts[0].status == "closed"
    assert "does not tell" in bench.told("key")[-1]
    assert bench.told("status")[0].startswith("unknown: system: ")


@pytest.mark.parametrize(("status", "result"), [(403, REFUSED), (500, RETRYABLE), (404, OK)])
async def test_an_alert_that_cannot_be_closed_is_reported_with_its_alias(
    status: int, result: TrialResult
) -> None:
    async with running() as bench:
        bench.answers["close"] = [None, says(status)]
        assert await bench.run("system") is result
        alias = bench.sandbox.alerts[0].alias
    (told,) = bench.told("close")
    assert (f"close it by hand, alias {alias}" in told) is (result is not OK)


async def interrupted(bench: Bench, *, keep_open: bool = False) -> None:
    """Interrupt a test while it waits to ask for the state of its message."""
    begun = asyncio.Event()

    async def wait(seconds: float) -> None:
        if not bench.sandbox.alerts:  # the probe's
            await asyncio.sleep(0.005)
        elif begun.is_set():
            await asyncio.sleep(0.2)
        else:
            begun.set()
            await asyncio.sleep(30)

    bench._sleep = wait  # type: ignore[method-assign]
    task = asyncio.create_task(bench.run("system", keep_open=keep_open))
    async with asyncio.timeout(60):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_interrupted_test_closes_what_it_has_opened() -> None:
    """The service loses a close that comes before it has made the alert."""
    async with running(processing_ms=100) as bench:
        bench.answers["status"] = [PROBED]
        await interrupted(bench)
        (alert,) = bench.sandbox.alerts
    assert alert.status == "closed"
    assert bench.told("close") == [
        f"note: system: interrupted: closing it; if that fails, close alias {alert.alias} by hand",
        "ok: system: closed again",
    ]


async def test_a_close_that_may_come_too_soon_says_what_to_close_by_hand() -> None:
    async with running(processing_ms=60_000) as bench:
        bench.answers["status"] = [PROBED]
        await interrupted(bench)
        (alert,) = bench.sandbox.alerts
    assert bench.told("close")[-1] == (
        "unknown: system: the close may have come before the service made the alert: if it is "
        f"open, close it by hand, alias {alert.alias}"
    )


async def test_an_interrupted_test_does_not_wait_for_a_service_that_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial_messages, "INTERRUPTED_SECONDS", 0.05)
    async with running() as bench:
        bench.answers["status"] = [PROBED]
        bench.sandbox.fail(Fault(kind=FaultKind.HANG, on=(Operation.REQUEST_STATUS,)))
        await interrupted(bench)
        (alert,) = bench.sandbox.alerts
    assert alert.status == "closed"
    assert "the close may have come before the service made the alert" in bench.told("close")[1]


async def test_an_interrupted_test_leaves_open_what_is_to_stay_open() -> None:
    async with running() as bench:
        bench.answers["status"] = [PROBED]
        await interrupted(bench, keep_open=True)
        (alert,) = bench.sandbox.alerts
    assert bench.kinds()[-1] == "create"
    assert bench.told("close") == [f"note: system: left open, alias {alert.alias}"]


async def test_a_message_whose_answer_got_lost_is_closed_too() -> None:
    async with running() as bench:

        async def lose(exchange: Exchange) -> web.Response | None:
            if _kind(exchange.request.method, exchange.request.path) == "create":
                await bench.sandbox._api._create(exchange)
                assert exchange.request.transport is not None
                exchange.request.transport.close()
            return None

        bench.sandbox._api.steps.append(lose)
        assert await bench.run("system") is RETRYABLE
        assert bench.sandbox.alerts[0].status == "closed"
    assert "may or may not have been accepted" in bench.told("send")[-1]


def test_to_be_refused_is_worse_than_to_be_retryable() -> None:
    assert worst() is OK
    assert worst(OK, RETRYABLE) is RETRYABLE
    assert worst(RETRYABLE, REFUSED, OK) is REFUSED
