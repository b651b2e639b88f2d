"""What `match` makes of notices, in which order, and when it waits for the configuration."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_app.detector import match
from stream_app.detector.match import MatchStage
from stream_app.domain.alerts.alert import NoticeAlert, decode_alert
from stream_app.domain.alerts.kinds import ALERT_KINDS, NOTICE_ALERT
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.errors import KafkaUnreachableError
from stream_app.domain.events.model import EventKind
from stream_app.domain.notices.matching import CONDITION_OF_KIND, NoticeTriggerIndex
from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration import catching_up
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.state.send import Send
from stream_app.metrics import Metrics
from tests.unit.stages import take
from tests.unit.tables import fake_table

ACME = Client(1111, "Acme Retail", "EU", {})
#: A new user, by the producer's own id.
NEW_USER = {"user": {"role": "Analyst"}, "notification_type": "create_user"}
RESULTS = ("matched", "unsubscribed", "unknown_kind", "rejected")


def notice(kind: str = "delete_user", **fields: Any) -> bytes:
    body = {"client_id": 1111, "summary": kind, "details": {"notification_type": kind}}
    return json.dumps(body | fields).encode()


def trigger(number: int, template_id: str = "user_created", *filters: Filter) -> Trigger:
    return Trigger(
        number,
        1111,
        "A trigger",
        template_id,
        enabled=True,
        filters=filters,
        threshold=None,
        integration_ids=(523, 999),
        enabled_at=0,
    )


class Reader:
    """A reader that knows its integrations after `catch_up`, not before."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.errors: list[Exception | None] = []
        self.waits = 0
        self.triggers: list[Trigger] = []

    async def catch_up(self, _seconds: float) -> bool:
        self.waits += 1
        if self.errors:
            if (error := self.errors.pop()) is not None:
                raise error
            return False
        one = Integration(521, 1111, "", True, "opsgenie", "", "", ("system",))
        self.configuration.clients = {1111: ACME}
        self.configuration.integrations = {521: one}
        self.configuration.triggers = {found.id: found for found in self.triggers}
        self.configuration.version += 1
        return True


class Bench:
    def __init__(self) -> None:
        self.reader, self.metrics = Reader(), Metrics()
        self.states: dict[int, PartitionProgress] = {}
        table = fake_table(lambda number: self.states.setdefault(number, PartitionProgress()))
        reader: Any = self.reader
        self.stage = MatchStage(table, reader, TopicNames("p."), self.metrics)

    def add(self, *values: bytes | None, offset: int = 0, timestamp: int | None = None) -> None:
        for number, value in enumerate(values, offset):
            at_ms = 1000 * number if timestamp is None else timestamp
            record = SimpleNamespace(
                offset=number, timestamp=at_ms, key=b"1111", value=value, headers=()
            )
            take(self.stage, "p.events.account", 0, [record])

    async def flush(self) -> list[list[Send]]:
        await self.stage.prepare()
        flush = self.stage.cut()
        steps = [list(step) for step in flush.steps()]
        flush.confirm()
        return steps

    def results(self) -> list[float]:
        counts = [
            self.metrics.registry.get_sample_value("stream_app_notices_total", {"result": result})
            for result in RESULTS
        ]
        return [count or 0 for count in counts]


def alerts(sends: list[Send]) -> list[NoticeAlert]:
    found = [decode_alert(send.value or b"") for send in sends if send.topic == "p.alerts"]
    return [alert for alert in found if isinstance(alert, NoticeAlert)]


async def test_alerts_come_in_the_order_of_the_notices_and_the_progress_last() -> None:
    bench = Bench()
    bench.add(notice("delete_user"), notice("alerts_stale"), notice("create_user"))
    sends, (progress,) = await bench.flush()
    assert [alert.notice.kind for alert in alerts(sends)] == [
        "delete_user",
        "alerts_stale",
        "create_user",
    ]
    assert {(send.topic, send.key) for send in sends} == {("p.alerts", b"1111")}
    assert alerts(sends)[2].notice.appended_ms == 2000
    assert (progress.topic, progress.key, progress.value) == ("changelog", b"progress", b"[2]")
    assert bench.results() == [3, 0, 0, 0]


async def test_notices_for_nobody_are_counted_and_unusable_ones_are_dead_letters() -> None:
    bench = Bench()
    lines = b"\n".join([notice("rule_create"), notice("of a later version"), b"[]"])
    bench.add(lines, None, notice(client_id=9), notice(details={}))
    sends, _ = await bench.flush()
    assert {send.topic for send in sends} == {"p.events.account.dlq"}
    facts = [dict(send.headers) for send in sends]
    assert [
        (send.value, fact["x-error-reason"]) for send, fact in zip(sends, facts, strict=True)
    ] == [
        (b"[]", b"wrong_type"),
        (None, b"undecodable"),
        (notice(client_id=9), b"unknown_client"),
        (notice(details={}), b"wrong_type"),
    ]
    assert facts[0]["x-event-index"] == b"2"
    assert bench.results() == [0, 1, 1, 4]


async def test_the_notice_of_an_alert_that_is_too_large_is_a_dead_letter() -> None:
    bench = Bench()
    bench.add(notice(description="x" * 900_000), notice())
    sends, _ = await bench.flush()
    assert [send.topic for send in sends] == ["p.events.account.dlq", "p.alerts"]
    assert dict(sends[0].headers)["x-error-reason"] == b"too_large"


async def test_rejected_notices_are_logged_once_per_minute_and_reason_and_all_are_counted() -> None:
    bench = Bench()
    with capture_logs() as logs:
        for offset in (0, 1):
            bench.add(b"[1,1,%s,%s]" % (notice(client_id=9), notice(client_id=8)), offset=offset)
            await bench.flush()
    said = [(row["reason"], row["offset"]) for row in logs if row["event"] == "notice_rejected"]
    assert said == [("wrong_type", 0), ("unknown_client", 0)]
    for reason in ("wrong_type", "unknown_client"):
        labels = {"topic": "events.account", "reason": reason}
        found = bench.metrics.registry.get_sample_value("stream_app_dead_letters_total", labels)
        assert found == 4
    assert bench.results() == [0, 0, 0, 8]


async def test_a_record_read_again_gives_the_same_bytes_and_one_that_is_done_gives_nothing() -> (
    None
):
    values = []
    for _ in range(2):
        bench = Bench()
        bench.add(notice())
        values.append([send.value for send in (await bench.flush())[0]])
    assert values[0] == values[1]
    bench.add(notice())
    assert (await bench.flush())[0] == []
    assert bench.reader.waits == 1


@pytest.mark.parametrize("behind", [KafkaUnreachableError("away"), None])
async def test_while_the_configuration_is_behind_no_client_is_called_unknown(
    behind: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "RETRY_SECONDS", 0.001)
    bench = Bench()
    bench.reader.errors = [behind] * 3
    bench.add(notice())
    sends, _ = await asyncio.wait_for(bench.flush(), 5)
    assert len(alerts(sends)) == 1


async def test_an_alert_of_a_record_without_a_timestamp_is_sent_but_not_timed() -> None:
    bench = Bench()
    bench.add(notice(), timestamp=-1)
    assert len(alerts((await bench.flush())[0])) == 1
    bench.add(notice(), offset=1)
    assert len(alerts((await bench.flush())[0])) == 1
    name, labels = "stream_app_event_to_alert_seconds_count", {"kind": "notice"}
    assert bench.metrics.registry.get_sample_value(name, labels) == 1


async def test_a_reset_forgets_what_is_not_flushed() -> None:
    bench = Bench()
    bench.add(notice())
    bench.stage.reset()
    assert (await bench.flush())[0] == []


async def test_a_notice_makes_an_alert_for_its_subscribers_and_one_for_each_trigger() -> None:
    bench = Bench()
    bench.reader.triggers = [
        trigger(62),
        trigger(61, "user_created", Filter("role", "eq", ("analytic",))),
        trigger(63, "user_created", Filter("role", "ne", ("analytic",))),
        trigger(64, "blacklist_ip_added"),
    ]
    bench.add(notice("create_user", id="n/1", details=NEW_USER), notice("ip_blocked", id="n/2"))
    sends, _ = await bench.flush()
    found = alerts(sends)
    assert [(one.trigger.id if one.trigger else None, one.integration_ids) for one in found] == [
        (None, (521,)),
        (61, (523, 999)),
        (62, (523, 999)),
        (64, (523, 999)),
    ]
    assert len({one.id for one in found}) == 4
    assert [one.notice.subscription for one in found] == ["system", "", "", ""]
    assert bench.results() == [2, 0, 0, 0]
    fired = {
        kind: bench.metrics.registry.get_sample_value("stream_app_alerts_total", {"kind": kind})
        for kind in ALERT_KINDS
    }
    assert {kind: number for kind, number in fired.items() if number} == {
        "notice": 1,
        "user_created": 2,
        "blacklist_ip_added": 1,
    }


async def test_a_notice_that_only_a_trigger_matches_is_matched_and_otherwise_unsubscribed() -> None:
    bench = Bench()
    bench.reader.triggers = [trigger(61, "compromised_logins")]
    bench.add(notice("compromised_logins"), notice("ip_blocked"))
    assert len(alerts((await bench.flush())[0])) == 1
    assert bench.results() == [1, 1, 0, 0]


async def test_an_alert_that_is_too_large_does_not_stop_its_neighbours() -> None:
    bench = Bench()
    # One trigger's filters are what makes the record too large.
    huge = Filter("role", "ne", tuple(f"{number:>100}" for number in range(8000)))
    bench.reader.triggers = [trigger(61, "user_created", huge), trigger(62)]
    bench.add(notice("create_user", description="x" * 200_000))
    sends, _ = await bench.flush()
    assert [send.topic for send in sends] == ["p.alerts", "p.alerts", "p.events.account.dlq"]
    assert [one.trigger and one.trigger.id for one in alerts(sends)] == [None, 62]
    assert dict(sends[2].headers)["x-error-reason"] == b"too_large"
    assert bench.results() == [0, 0, 0, 1]


async def test_triggers_are_compiled_once_per_version_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    made: list[NoticeTriggerIndex] = []

    def compiled(*args: Any) -> NoticeTriggerIndex:
        made.append(NoticeTriggerIndex(*args))
        return made[-1]

    monkeypatch.setattr(match, "NoticeTriggerIndex", compiled)
    for number in range(3):
        bench.add(*[notice("create_user")] * 5, offset=5 * number)
        bench.stage.cut()
    assert len(made) == 1
    await bench.reader.catch_up(1)
    bench.stage.cut()
    assert len(made) == 2


def test_every_condition_of_notices_has_its_kind_of_alerts() -> None:
    assert {*EventKind, NOTICE_ALERT, *CONDITION_OF_KIND.values()} == set(ALERT_KINDS)


async def test_a_notice_whose_alert_the_topic_refuses_is_a_dead_letter() -> None:
    bench = Bench()
    bench.add(notice("delete_user"), offset=4)
    (send,), _ = await bench.flush()
    assert send.if_too_large is not None
    letter = send.if_too_large()
    assert (letter.topic, letter.value) == ("p.events.account.dlq", notice("delete_user"))
    headers = dict(letter.headers)
    assert headers["x-error-reason"] == b"too_large"
    assert headers["x-original-offset"] == b"4"
