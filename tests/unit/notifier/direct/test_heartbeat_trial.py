"""The test of a heartbeat against the real sandbox: what it says, and its result."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from stream_app.domain.delivery.reasons import LocalReason, RefusedError
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.notifier.direct.heartbeat_trial import READING_WAITS_SECONDS, HeartbeatTrial
from stream_app.notifier.direct.trial_report import Step, StepReporter, TrialResult
from stream_app.opsgenie.destination import Destinations, Endpoint
from stream_app.opsgenie.endpoints import resolve_endpoint
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.setting_groups import DeliverySettings

KEY = "00000000-1111-2222-3333-444444444444"
PING, READ = Operation.HEARTBEAT_PING, Operation.HEARTBEAT_READ
OPSGENIE = HeartbeatSettings(target="opsgenie", name="pager", integration_id=521)
OK, INVALID, REFUSED, RETRYABLE = TrialResult


class Bench:
    def __init__(self, sandbox: SandboxOpsgenie, url: str) -> None:
        self.sandbox, self.url = sandbox, url
        self.steps: list[Step] = []
        self.waits: list[float] = []
        self.refusal: RefusedError | None = None

    async def run(
        self, settings: HeartbeatSettings = OPSGENIE, *, ping: bool = True
    ) -> TrialResult:
        async with Destinations(DeliverySettings(sandbox_url=self.url)) as destinations:
            target = destinations.open_heartbeat(settings, self._resolve)
            assert target is not None
            trial = HeartbeatTrial(target, StepReporter(self.steps.append), self._sleep)
            return await trial.run(ping=ping)

    def jsm(self) -> HeartbeatSettings:
        return HeartbeatSettings(
            target="jsm",
            name="pager",
            cloud_id="cloud",
            team_id="team",
            email="ops@acme.example",
            api_token=SecretStr("fake-token"),
            jsm_api=f"{self.url}/jsm/ops/api",
        )

    def told(self) -> list[str]:
        return [f"{step.stage} {step.status}" for step in self.steps]

    def pings(self) -> int:
        return sum(request.path.endswith("/ping") for request in self.sandbox.requests)

    def _resolve(self, _: int) -> tuple[Endpoint, str]:
        if self.refusal is not None:
            raise self.refusal
        return resolve_endpoint(self.url, self.url), KEY

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    sandbox = SandboxOpsgenie()
    yield Bench(sandbox, await sandbox.start())
    await sandbox.stop()


async def test_a_ping_that_arrives_is_the_best_that_can_be_known(bench: Bench) -> None:
    bench.sandbox.add_heartbeat(Heartbeat("pager"))
    assert await bench.run() is OK
    assert bench.told() == ["target ok", "reading note", "ping ok", "arrival ok"]
    assert (bench.pings(), bench.waits) == (1, [1.0])
    bench.steps.clear()
    assert await bench.run() is OK
    assert bench.told() == ["target ok", "reading ok", "ping ok", "arrival ok"]


async def test_nothing_is_pinged_unless_it_is_asked_for(bench: Bench) -> None:
    bench.sandbox.add_heartbeat(Heartbeat("pager"))
    assert await bench.run(ping=False) is OK
    assert (bench.told(), bench.pings()) == (["target ok", "reading note"], 0)


@pytest.mark.parametrize("heartbeat", [None, Heartbeat("pager", enabled=False)])
async def test_a_heartbeat_that_is_not_there_or_off_is_refused_and_not_pinged(
    bench: Bench, heartbeat: Heartbeat | None
) -> None:
    if heartbeat is not None:
        bench.sandbox.add_heartbeat(heartbeat)
    for settings in (OPSGENIE, bench.jsm()):
        bench.steps.clear()
        assert await bench.run(settings) is REFUSED
        assert bench.told() == ["target ok", "reading failed"]
    assert bench.pings() == 0


async def test_a_ping_that_is_lost_is_told(bench: Bench) -> None:
    bench.sandbox.add_heartbeat(Heartbeat("pager"))
    await bench.run()
    bench.sandbox.fail(Fault(kind=FaultKind.DISCARD, on=(PING,)))
    bench.steps.clear()
    bench.waits.clear()
    assert await bench.run() is RETRYABLE
    assert bench.told()[-2:] == ["ping ok", "arrival failed"]
    assert bench.waits == [*READING_WAITS_SECONDS]
    assert "has not arrived after 15 s: it is enabled" in bench.steps[-1].text


async def test_jsm_tells_of_a_lost_ping_only_while_the_heartbeat_is_not_alive(
    bench: Bench,
) -> None:
    bench.sandbox.add_heartbeat(Heartbeat("pager"))
    fault = bench.sandbox.fail(Fault(kind=FaultKind.DISCARD, on=(PING,)))
    assert await bench.run(bench.jsm()) is RETRYABLE
    assert bench.told()[-1] == "arrival failed"
    bench.sandbox.heal(fault.id)
    await bench.run(bench.jsm())
    bench.sandbox.fail(Fault(kind=FaultKind.DISCARD, on=(PING,)))
    assert await bench.run(bench.jsm()) is OK
    assert bench.told()[-1] == "arrival unknown"


async def test_jsm_does_not_tell_whether_a_ping_of_a_living_one_arrives(bench: Bench) -> None:
    bench.sandbox.add_heartbeat(Heartbeat("pager"))
    assert await bench.run(bench.jsm()) is OK
    assert bench.told()[-1] == "arrival ok"  # it came to life
    bench.steps.clear()
    assert await bench.run(bench.jsm()) is OK
    assert bench.told()[-1] == "arrival unknown"


async def test_a_key_that_may_ping_and_not_read_leaves_it_open(bench: Bench) -> None:
    bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=403, on=(READ,)))
    assert await bench.run() is OK
    assert bench.told() == ["target ok", "reading unknown", "ping ok", "arrival unknown"]
    assert "access configurations" in bench.steps[1].text


@pytest.mark.parametrize(
    ("status", "result"), [(401, REFUSED), (402, REFUSED), (429, RETRYABLE), (503, RETRYABLE)]
)
async def test_a_failure_tells_whether_it_may_pass(
    bench: Bench, status: int, result: TrialResult
) -> None:
    bench.sandbox.add_heartbeat(Heartbeat("pager"))
    fault = bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=status, on=(READ,)))
    assert await bench.run() is result
    assert (bench.told(), bench.pings()) == (["target ok", "reading failed"], 0)
    bench.sandbox.heal(fault.id)
    bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=status, on=(PING,)))
    bench.steps.clear()
    assert await bench.run() is result
    assert bench.told() == ["target ok", "reading note", "ping failed"]


async def test_an_integration_that_cannot_be_used_is_a_wrong_configuration(bench: Bench) -> None:
    bench.refusal = RefusedError(LocalReason.INTEGRATION_UNAVAILABLE, "integration 521 is off")
    assert await bench.run(ping=False) is INVALID
    assert bench.told() == ["target ok", "reading failed"]
    assert bench.steps[-1].text == "it cannot be read: integration 521 is off"
    assert bench.sandbox.requests == []


async def test_a_short_expiry_is_noted(bench: Bench) -> None:
    bench.sandbox.add_heartbeat(Heartbeat("pager", seconds=240))
    assert await bench.run(ping=False) is OK
    assert bench.steps[-1].text.startswith("it expires after 240 s without a ping: set 300 s")


async def test_a_plain_address_is_pinged_and_nothing_more_is_known(bench: Bench) -> None:
    settings = HeartbeatSettings(
        target="url",
        url=SecretStr(f"{bench.url}/sandbox/heartbeats"),
        url_hosts=("127.0.0.1",),
    )
    assert await bench.run(settings) is OK
    assert bench.told() == ["target ok", "reading unknown", "ping ok", "arrival unknown"]
