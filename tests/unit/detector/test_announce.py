"""What the `announce` stage writes, and in which order."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from stream_app.detector.announce import PARTITION, AnnounceStage
from stream_app.domain.configuration.clients import Client
from stream_app.domain.notices.announced_objects import AnnouncedObjects
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration.records import ACTOR_HEADER, TOPIC_OF
from stream_app.kafka.engine.flush import Flush
from tests.unit.stages import effects, take
from tests.unit.tables import fake_table

NAMES = TopicNames("p.")
TRIGGER = {"id": 61, "client_id": 1111, "name": "Incidents"}
ACME = Client(1111, "Acme Retail", "EU", {})


class Bench:
    """The stage on a state whose baseline is the beginning of the topics."""

    def __init__(self, *clients: Client) -> None:
        topics = {kind: NAMES(topic) for kind, topic in TOPIC_OF.items()}
        self.state = AnnouncedObjects(topics)
        self.state.restore(*self.state.baseline_record((0, 0, 0)))
        table = fake_table(lambda _: self.state)
        known = {client.client_id: client for client in clients}
        reader: Any = SimpleNamespace(configuration=SimpleNamespace(clients=known))
        baselines: Any = None
        self.stage = AnnounceStage(table, baselines, reader, NAMES)

    def put(self, topic: str, offset: int, key: bytes, value: Any, actor: str = "") -> None:
        raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        headers = [(ACTOR_HEADER, actor.encode())] if actor else []
        record = SimpleNamespace(offset=offset, key=key, value=raw, headers=headers)
        take(self.stage, f"p.{topic}", PARTITION, [record])


def notices(flush: Flush[Any]) -> list[dict[str, Any]]:
    return [json.loads(send.value or b"") for send in effects(flush)]


def test_the_notice_comes_before_the_state_and_the_progress_last() -> None:
    bench = Bench(ACME)
    bench.put("config.triggers", 17, b"61", TRIGGER)
    flush = bench.stage.cut()
    sends = [[(send.topic, send.key) for send in step] for step in flush.steps()]
    assert sends == [
        [("p.events.account", b"1111")],
        [("changelog", b"trigger/61")],
        [("changelog", b"progress")],
    ]
    (notice,) = notices(flush)
    assert notice == {
        "client_id": 1111,
        "id": "config.triggers/17",
        "summary": "[Wallarm] Trigger was created",
        "details": {
            "client_name": "Acme Retail",
            "cloud": "EU",
            "notification_type": "trigger_create",
            "trigger": {"id": 61, "name": "Incidents"},
            "actor": "stream-app apply",
        },
    }
    flush.confirm()
    assert bench.state.progress_of("p.config.triggers") == 17


def test_after_a_crash_the_same_notice_has_the_same_bytes() -> None:
    written = []
    for _ in range(2):
        bench = Bench(ACME)
        bench.put("config.triggers", 17, b"61", TRIGGER)
        written.append([send.value for send in effects(bench.stage.cut())])
    assert written[0] == written[1]


def test_the_record_says_which_command_wrote_it() -> None:
    bench = Bench(ACME)
    bench.put("config.triggers", 0, b"61", TRIGGER)
    bench.put("config.triggers", 1, b"61", None, actor="stream-app delete")
    assert [n["details"]["actor"] for n in notices(bench.stage.cut())] == [
        "stream-app apply",
        "stream-app delete",
    ]


def test_a_record_whose_command_is_null_is_announced() -> None:
    bench = Bench(ACME)
    record = SimpleNamespace(
        offset=17, key=b"61", value=json.dumps(TRIGGER).encode(), headers=[(ACTOR_HEADER, None)]
    )
    take(bench.stage, "p.config.triggers", PARTITION, [record])
    (notice,) = notices(bench.stage.cut())
    assert notice["details"]["actor"] == "stream-app apply"


def test_a_client_that_is_gone_is_named_by_its_last_record() -> None:
    bench = Bench()
    bench.put("config.clients", 0, b"1111", {"client_id": 1111, "name": "Acme", "cloud": "US"})
    bench.put("config.triggers", 0, b"61", TRIGGER)
    (notice,) = notices(bench.stage.cut())
    assert (notice["details"]["client_name"], notice["details"]["cloud"]) == ("Acme", "US")


def test_records_without_an_object_are_skipped_and_not_read_again() -> None:
    bench = Bench(ACME)
    bench.put("config.triggers", 3, b"not-a-number", TRIGGER)
    bench.put("config.triggers", 4, b"61", b"{")
    bench.put("config.triggers", 5, b"61", [1])
    bench.put("config.integrations", 6, b"521", {"id": 521, "client_id": "x", "active": True})
    flush = bench.stage.cut()
    assert notices(flush) == []
    flush.confirm()
    assert bench.state.progress_of("p.config.triggers") == 5
    assert bench.state.progress_of("p.config.integrations") == 6


def test_a_reset_forgets_what_is_not_flushed() -> None:
    bench = Bench(ACME)
    bench.put("config.triggers", 0, b"61", TRIGGER)
    bench.stage.reset()
    assert notices(bench.stage.cut()) == []
