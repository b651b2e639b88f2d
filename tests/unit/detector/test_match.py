"""What `match` makes of notices, in which order, and when it waits for the configuration."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.detector.match import MatchStage
from stream_app.domain.alerts import NoticeAlert, decode_alert
from stream_app.domain.clients import Client
from stream_app.domain.errors import KafkaUnreachableError
from stream_app.domain.integrations import Integration
from stream_app.domain.progress import PartitionProgress
from stream_app.kafka import catching_up
from stream_app.kafka.configuration import Configuration
from stream_app.kafka.flushing import Send
from stream_app.kafka.topics import TopicNames
from stream_app.metrics import Metrics

ACME = Client(1111, "Acme Retail", "EU", {})
RESULTS = ("matched", "unsubscribed", "unknown_kind", "rejected")


def notice(kind: str = "delete_user", **fields: Any) -> bytes:
    body = {"client_id": 1111, "summary": kind, "details": {"notification_type": kind}}
    return json.dumps(body | fields).encode()


class Reader:
    """A reader that knows its integrations after `catch_up`, not before."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.errors: list[Exception] = []
        self.waits = 0

    async def catch_up(self, _seconds: float) -> bool:
        self.waits += 1
        if self.errors:
            raise self.errors.pop()
        one = Integration(521, 1111, "", True, "opsgenie", "", "", ("system",))
        self.configuration.clients = {1111: ACME}
        self.configuration.integrations = {521: one}
        self.configuration.version += 1
        return True


class Bench:
    def __init__(self) -> None:
        self.reader, self.metrics = Reader(), Metrics()
        self.states: dict[int, PartitionProgress] = {}
        table: Any = SimpleNamespace(
            state=lambda number: self.states.setdefault(number, PartitionProgress()),
            changelog_topic_name="changelog",
        )
        reader: Any = self.reader
        self.stage = MatchStage(table, reader, TopicNames("p."), self.metrics)

    def add(self, *values: bytes | None, offset: int = 0) -> None:
        for number, value in enumerate(values, offset):
            record = SimpleNamespace(
                offset=number, timestamp=1000 * number, key=b"1111", value=value, headers=()
            )
            self.stage.add("p.events.account", 0, [record])

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


async def test_what_reaches_nobody_is_counted_and_what_cannot_be_used_is_a_dead_letter() -> None:
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


async def test_an_alert_that_no_topic_takes_is_a_dead_letter() -> None:
    bench = Bench()
    bench.add(notice(description="x" * 900_000), notice())
    sends, _ = await bench.flush()
    assert [send.topic for send in sends] == ["p.events.account.dlq", "p.alerts"]
    assert dict(sends[0].headers)["x-error-reason"] == b"too_large"


async def test_a_record_read_again_gives_the_same_bytes_and_one_that_is_done_nothing() -> None:
    values = []
    for _ in range(2):
        bench = Bench()
        bench.add(notice())
        values.append([send.value for send in (await bench.flush())[0]])
    assert values[0] == values[1]
    bench.add(notice())
    assert (await bench.flush())[0] == []
    assert bench.reader.waits == 1


async def test_while_kafka_is_away_no_client_is_called_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catching_up, "RETRY_SECONDS", 0.001)
    bench = Bench()
    bench.reader.errors = [KafkaUnreachableError("away")] * 3
    bench.add(notice())
    sends, _ = await asyncio.wait_for(bench.flush(), 5)
    assert len(alerts(sends)) == 1


async def test_what_is_not_flushed_is_forgotten() -> None:
    bench = Bench()
    bench.add(notice())
    bench.stage.reset()
    assert (await bench.flush())[0] == []
