"""What `route` writes where integrations have chosen episodes."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from stream_app.domain.alerts.alert import Alert, AlertNotice, AlertTrigger, NoticeAlert
from stream_app.domain.alerts.alert import encode_alert as encoded
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.repeat_options import EACH_WINDOW, Deduplicate, RepeatOptions
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.configuration.triggers import Threshold
from stream_app.domain.delivery.records import (
    Delivery,
    Folded,
    decode_delivery,
    decode_result,
)
from stream_app.domain.episodes.partition_episodes import PartitionEpisodes
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.state.send import Send
from stream_app.metrics import Metrics
from stream_app.notifier.route import RouteStage
from tests.unit.stages import take
from tests.unit.tables import fake_table

#: 2026-11-29 20:31:05 UTC.
START = 1_795_984_265
TRIGGER = AlertTrigger(61, "Hits", "hits_exceeded", "r1", (), Threshold(1, 1))
EACH = RepeatOptions(Deduplicate.EPISODE)
EACH_MINUTE = RepeatOptions(Deduplicate.EPISODE, repeat_seconds=60, close_after_seconds=300)
REDRIVEN = (("x-attempt", b"2"),)


def integration(number: int, repeats: RepeatOptions, epoch: int = 0) -> Integration:
    return Integration(number, 1111, "", True, "opsgenie", "", "", (), epoch=epoch, repeats=repeats)


def alert(second: int, *ids: int) -> Alert:
    start = START + second
    name = f"stream-app:1:hits_exceeded:{second}"
    return Alert(name, 1111, "Acme", "EU", TRIGGER, start, start + 1, ids or (521,), {})


class Bench:
    """A `route` stage with one partition; `crash` loses what is not in the changelog."""

    def __init__(self, *known: Integration) -> None:
        self.configuration = Configuration()
        self.configure(*known)
        self.metrics = Metrics()
        self.log: list[tuple[bytes, bytes | None]] = []
        self.offset = 0
        self.crash()

    def configure(self, *known: Integration) -> None:
        self.configuration.integrations = {one.id: one for one in known}

    def crash(self) -> None:
        self.state = PartitionEpisodes()
        for key, value in self.log:
            self.state.restore(key, value)
        self.table = fake_table(lambda _: self.state, epoch=0)
        reader = SimpleNamespace(configuration=self.configuration, catch_up=self._caught_up)
        self.stage = RouteStage(
            self.table,
            reader,
            TopicNames("p."),
            6 * 3600,
            self.metrics,
            lambda: START * 1000,
        )

    async def _caught_up(self, _seconds: float) -> bool:
        return True

    def take(
        self, *alerts: Alert | NoticeAlert | bytes, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        records = []
        for one in alerts:
            self.offset += 1
            value = one if isinstance(one, bytes) else encoded(one)
            record = SimpleNamespace(
                offset=self.offset,
                timestamp=START * 1000 + self.offset,
                key=b"1111",
                value=value,
                headers=headers,
            )
            records.append(record)
        take(self.stage, "p.alerts", 0, records)

    async def flush(self, steps: int = 3) -> list[Send]:
        """Return the effects; the broker gets only so many steps of the flush."""
        await self.stage.prepare()
        flush = self.stage.cut()
        written = [list(step) for step in flush.steps()]
        for step in written[:steps]:
            self.log += [(one.key or b"", one.value) for one in step if one.topic == "changelog"]
        if steps >= len(written):
            flush.confirm()
        return written[0]

    async def told(self, *alerts: Alert, headers: tuple[tuple[str, bytes], ...] = ()) -> list[str]:
        self.take(*alerts, headers=headers)
        return kinds(await self.flush())


def delivery(send: Send) -> Delivery:
    return decode_delivery(send.value or b"")


def folded(send: Send) -> Folded:
    found = decode_result(send.value or b"")
    assert isinstance(found, Folded)
    return found


def kinds(sends: list[Send]) -> list[str]:
    return [
        str(delivery(one).action) if one.topic == "p.deliveries" else one.topic.removeprefix("p.")
        for one in sends
    ]


async def test_ten_minutes_of_a_window_a_second_are_ten_creates_and_nine_notes() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    bench.take(*(alert(second) for second in range(600)))
    sends = await bench.flush()
    found = kinds(sends)
    assert (found.count("create"), found.count("note")) == (10, 9)
    assert found.count("delivery-results") == 590
    creates = [delivery(one) for one in sends if one.topic == "p.deliveries"]
    assert {one.alias for one in creates} == {creates[0].alias}
    assert creates[0].alias.startswith("stream-app:1111:episode:")
    results = bench.metrics.registry.get_sample_value
    by_result = {r: results("stream_app_routed_alerts_total", {"result": r}) for r in FOLDED_SENT}
    assert by_result == {"sent": 10, "folded": 590}


FOLDED_SENT = ("sent", "folded")


async def test_the_first_window_is_told_as_it_is_without_episodes_but_for_its_episode() -> None:
    plain, chosen = Bench(integration(521, EACH_WINDOW)), Bench(integration(521, EACH_MINUTE))
    for bench in (plain, chosen):
        bench.take(alert(0))
    (before,), (now,) = await plain.flush(), await chosen.flush()
    assert dict(before.headers) == {"x-alerted-ms": b"1795984265001"}
    assert dict(now.headers) == {"x-alerted-ms": b"1795984265001", "x-format": b"2"}
    found = delivery(now)
    assert msgspec.structs.replace(found, episode=None) == delivery(before)
    episode = found.episode
    assert episode is not None
    assert (episode.trigger_id, episode.revision, episode.close_after_seconds) == (61, "r1", 300)
    assert (episode.window_start, episode.window_end) == (START, START + 1)


async def test_a_repeat_tells_what_was_folded_and_is_followed_by_its_note() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    bench.take(alert(0), *(alert(second) for second in range(1, 38)), alert(60))
    *_, create, note = await bench.flush()
    told, noted = delivery(create), delivery(note)
    said = "37 more windows have fired since the one that began at 2026-11-29 20:31:05 UTC."
    assert told.description.startswith(f"{said}\n\nNotification type: ")
    assert told.details["folded_windows"] == "37"
    assert told.details["folded_since"] == str(START)
    assert (noted.id, noted.after) == (f"{told.alert_id}:note/521", told.id)
    assert (noted.alias, noted.episode, noted.epoch) == (told.alias, told.episode, told.epoch)
    this = "from 2026-11-29 20:32:05 UTC to 2026-11-29 20:32:06 UTC"
    assert noted.note.splitlines() == [
        f"The trigger has fired in the window {this}.",
        said,
        "The first window of this run began at 2026-11-29 20:31:05 UTC.",
        "View events:",
        told.details["link"],
    ]
    assert (note.topic, note.key, dict(note.headers)["x-format"]) == ("p.deliveries", b"521", b"2")


async def test_a_folded_window_is_a_result_of_the_delivery_that_it_would_have_had() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    bench.take(alert(0), alert(1))
    _, send = await bench.flush()
    found = folded(send)
    assert (found.delivery_id, found.alert_id) == (f"{alert(1).id}/521", alert(1).id)
    assert (found.client_id, found.integration_id) == (1111, 521)
    assert found.episode.window_start == START + 1
    assert (send.key, dict(send.headers)) == (b"521", {"x-format": b"2"})


async def test_notes_can_be_turned_off() -> None:
    quiet = msgspec.structs.replace(EACH, repeat_notes=False)
    assert await Bench(integration(521, quiet)).told(alert(0), alert(1)) == ["create", "create"]
    assert await Bench(integration(521, EACH)).told(alert(0), alert(1)) == [
        "create",
        "create",
        "note",
    ]


async def test_integrations_of_one_alert_are_told_each_by_its_own_options() -> None:
    bench = Bench(
        integration(521, EACH_WINDOW), integration(522, EACH_MINUTE), integration(523, EACH)
    )
    bench.take(alert(0, 521, 522, 523), alert(1, 521, 522, 523))
    sends = await bench.flush()
    assert [(one.key, kind) for one, kind in zip(sends, kinds(sends), strict=True)] == [
        (b"521", "create"),
        (b"522", "create"),
        (b"523", "create"),
        (b"521", "create"),
        (b"522", "delivery-results"),
        (b"523", "create"),
        (b"523", "note"),
    ]
    aliases = {delivery(one).alias for one in sends if one.topic == "p.deliveries"}
    assert len(aliases) == 4, "two of their own, and one for each episode"


@pytest.mark.parametrize("steps", [1, 2])
async def test_after_a_kill_in_the_middle_of_a_flush_nothing_else_is_decided(steps: int) -> None:
    """After the first step the effects are written, after the second one the states, too."""
    alerts = [alert(second) for second in (0, 1, 2, 60, 61)]
    bench, whole = Bench(integration(521, EACH_MINUTE)), Bench(integration(521, EACH_MINUTE))
    whole.take(*alerts)
    expected = await whole.flush()
    bench.take(*alerts)
    effects = await bench.flush(steps)
    assert [one.value for one in effects] == [one.value for one in expected]
    bench.crash()
    bench.offset = 0
    bench.take(*alerts)
    again = await bench.flush()
    assert [one.value for one in again] == ([one.value for one in expected] if steps == 1 else [])
    assert await bench.told(alert(62)) == ["delivery-results"] == await whole.told(alert(62))
    for one in (bench, whole):
        one.take(alert(120))
    last = [delivery((await one.flush())[0]) for one in (bench, whole)]
    assert last[0] == last[1]
    assert last[0].details["folded_windows"] == "2"


async def test_a_rebalance_while_alerts_are_routed_takes_none_of_them() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    bench.take(alert(0), alert(1))
    bench.table.epoch += 1
    bench.state.roll_back()
    await bench.stage.prepare()
    bench.stage.reset()
    bench.offset = 0
    assert await bench.told(alert(0), alert(1)) == ["create", "delivery-results"]


async def test_a_window_that_comes_twice_is_told_once() -> None:
    bench = Bench(integration(521, EACH))
    assert await bench.told(alert(0), alert(1)) == ["create", "create", "note"]
    assert await bench.told(alert(0), alert(1)) == []


async def test_an_alert_that_a_person_sends_again_is_told_in_any_case() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    assert await bench.told(alert(0), alert(2)) == ["create", "delivery-results"]
    assert await bench.told(alert(1), headers=REDRIVEN) == ["create", "note"]
    assert await bench.told(alert(2), headers=REDRIVEN) == ["create", "note"]
    assert await bench.told(alert(3)) == ["delivery-results"]


async def test_an_alert_that_is_too_old_takes_no_window() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    assert await bench.told(alert(-7 * 3600)) == ["alerts.dlq", "events.account"]
    assert len(bench.state) == 0
    assert await bench.told(alert(-7 * 3600), headers=REDRIVEN) == ["create"]


async def test_an_alert_that_is_too_large_for_a_record_takes_no_window() -> None:
    """Nor does it take one of another integration of the alert."""
    bench = Bench(integration(521, EACH_MINUTE), integration(522, EACH_WINDOW))
    large = msgspec.structs.replace(TRIGGER, name="x" * 500_000)
    assert await bench.told(msgspec.structs.replace(alert(0, 521, 522), trigger=large)) == [
        "alerts.dlq"
    ]
    assert len(bench.state) == 0
    assert await bench.told(alert(1)) == ["create"]


async def test_a_window_whose_delivery_its_topic_refuses_is_not_folded_onto() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    bench.take(alert(0), alert(1))
    create, _ = await bench.flush()
    assert create.if_too_large is not None
    letter = create.if_too_large()
    assert dict(letter.headers)["x-error-reason"] == b"too_large"
    assert dict(letter.headers)["x-integration-ids"] == b"521"
    assert await bench.told(alert(2)) == ["create"], "it begins an episode of its own"
    bench.crash()
    assert await bench.told(alert(3)) == ["delivery-results"]


async def test_an_unknown_integration_takes_no_window() -> None:
    bench = Bench(integration(522, EACH_MINUTE))
    assert await bench.told(alert(0)) == ["alerts.dlq"]
    bench.configure(integration(521, EACH_MINUTE))
    assert await bench.told(alert(0), headers=REDRIVEN) == ["create"]


async def test_an_integration_that_the_system_has_disabled_has_episodes_too() -> None:
    bench = Bench(integration(521, EACH_MINUTE, epoch=7))
    status = IntegrationStatus(521, 1111, True, "failed_share", 7, 18, 27, 12, 0)
    bench.configuration.statuses = {521: status}
    assert await bench.told(alert(0), alert(1)) == ["create", "delivery-results"]
    bench.configure(integration(521, EACH_MINUTE, epoch=8))
    assert await bench.told(alert(2)) == ["create"], "who enables it is told at once"


async def test_a_record_that_cannot_be_used_leaves_each_window_its_own_alert() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    assert await bench.told(alert(0)) == ["create"]
    bench.configure()
    bench.configuration.invalid_integrations = frozenset({521})
    bench.take(alert(1))
    (send,) = await bench.flush()
    assert (delivery(send).episode, delivery(send).alias) == (None, alert(1).id)


async def test_notices_have_no_windows() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    fields = AlertNotice("create_user", "system", "New user", "", {}, START * 1000)
    notices = [NoticeAlert(f"n:{n}", 1111, "Acme", "EU", fields, (521,)) for n in range(2)]
    bench.take(*notices)
    found = [delivery(one) for one in await bench.flush()]
    assert [(one.alias, one.episode) for one in found] == [("n:0", None), ("n:1", None)]
    assert len(bench.state) == 0


async def test_options_may_change_in_the_middle_of_an_attack() -> None:
    bench = Bench(integration(521, EACH_WINDOW))
    assert await bench.told(alert(0), alert(1)) == ["create", "create"]
    bench.configure(integration(521, EACH_MINUTE))
    bench.take(alert(2), alert(3))
    first, _ = await bench.flush()
    assert delivery(first).episode is not None, "alerts of windows cannot be folded onto"
    bench.configure(integration(521, EACH_WINDOW))
    bench.take(alert(4))
    (plain,) = await bench.flush()
    assert (delivery(plain).alias, delivery(plain).episode) == (alert(4).id, None)
    bench.configure(integration(521, msgspec.structs.replace(EACH_MINUTE, repeat_seconds=600)))
    assert await bench.told(alert(70)) == ["delivery-results"], "the longer repeat holds at once"
    bench.configure(integration(521, EACH_MINUTE))
    bench.take(alert(71))
    repeat, _ = await bench.flush()
    assert delivery(repeat).alias == delivery(first).alias, "it is the same attack"
    assert delivery(repeat).details["folded_windows"] == "2"


async def test_an_alert_that_no_detector_writes_is_a_dead_letter_and_ends_no_worker() -> None:
    bench = Bench(integration(521, EACH_MINUTE))
    strange = [
        msgspec.structs.replace(alert(0), **fields)
        for fields in (
            {"window_end": START},
            {"window_end": START - 5},
            {"window_start": -1},
            {"window_end": 10**15},
            {"id": "x" * 1001},
            {"trigger": msgspec.structs.replace(TRIGGER, id=2**70)},
            {"trigger": msgspec.structs.replace(TRIGGER, revision="x" * 1001)},
        )
    ]
    found = await bench.told(*strange, alert(1), headers=REDRIVEN)
    assert found == ["create", *["alerts.dlq"] * len(strange)]
