from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from stream_app.domain.configuration.client_names import ClientNames
from stream_app.kafka.configuration.view import RecordApplier
from stream_app.metrics import Metrics
from stream_app.settings import Settings

CLIENT: dict[str, Any] = {"client_id": 1111, "name": "Acme", "cloud": "EU"}
TRIGGER: dict[str, Any] = {
    "id": 61,
    "client_id": 1111,
    "name": "Hits",
    "enabled": True,
    "template_id": "hits_exceeded",
    "threshold": {"count": 1, "period": 60},
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521, 999]}}],
}
INTEGRATION: dict[str, Any] = {
    "id": 521,
    "client_id": 1111,
    "name": "On-call",
    "active": True,
    "type": "opsgenie",
    "target": {"token": "file:1111/acme", "api": "https://api.opsgenie.com/v2/alerts"},
    "events": [],
}


@dataclass
class Record:
    topic: str
    key: bytes | None
    value: bytes | None
    offset: int
    partition: int = 0
    timestamp: int = -1


class Feed:
    """An applier with the offsets of its topics."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.applier = RecordApplier(Settings(topic_prefix="t."))
        self.applier.report_to(self.metrics)
        self.view = self.applier.configuration
        self._offsets: dict[str, int] = {}

    def put(
        self, kind: str, key: bytes | int | None, value: object, timestamp: int = 1767225600500
    ) -> int:
        topic = f"t.config.{kind}"
        offset = self._offsets[topic] = self._offsets.get(topic, -1) + 1
        raw_key = str(key).encode() if isinstance(key, int) else key
        raw = value if value is None or isinstance(value, bytes) else orjson.dumps(value)
        self.applier.apply([Record(topic, raw_key, raw, offset, timestamp=timestamp)])
        return offset

    def gauge(self, name: str, kind: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stream_app_config_{name}", {"kind": kind})


def test_records_become_objects_by_id() -> None:
    feed = Feed()
    feed.put("clients", 1111, CLIENT)
    feed.put("triggers", 61, TRIGGER)
    feed.put("integrations", 521, INTEGRATION)
    assert feed.view.clients[1111].name == "Acme"
    assert feed.view.triggers[61].integration_ids == (521, 999)
    assert feed.view.integrations[521].key == "file:1111/acme"
    assert feed.view.version == 3
    assert feed.gauge("objects", "triggers") == 1
    assert feed.gauge("invalid", "triggers") == 0


def test_the_time_of_the_last_change_is_that_of_the_newest_record_not_of_reading_it() -> None:
    feed, name = Feed(), "last_applied_timestamp_seconds"
    assert feed.gauge(name, "triggers") is None
    feed.put("triggers", 61, TRIGGER, timestamp=1767225600500)
    feed.put("triggers", 62, TRIGGER | {"id": 62}, timestamp=1767225599000)
    assert feed.gauge(name, "triggers") == 1767225600.5
    assert feed.gauge(name, "clients") is None
    feed.put("triggers", 62, None, timestamp=1767225700000)
    assert feed.gauge(name, "triggers") == 1767225700
    feed.applier.forget("t.config.triggers")
    assert feed.gauge(name, "triggers") is None
    feed.put("triggers", 61, TRIGGER, timestamp=-1)
    assert feed.gauge(name, "triggers") is None, "a record without a time says nothing"


def test_a_tombstone_deletes() -> None:
    feed = Feed()
    feed.put("triggers", 61, TRIGGER)
    before = feed.view.triggers
    offset = feed.put("triggers", 61, None)
    assert feed.view.triggers == {}
    assert feed.view.trigger_offsets == {61: offset}
    assert list(before) == [61], "a dict that somebody still reads is not changed"


def test_offsets_of_triggers_are_known() -> None:
    feed = Feed()
    assert feed.view.trigger_position == 0
    feed.put("triggers", 61, TRIGGER)
    feed.put("triggers", 62, TRIGGER | {"id": 62})
    feed.put("triggers", 61, TRIGGER | {"name": "Other"})
    feed.put("triggers", 63, b"spoiled")
    assert feed.view.trigger_offsets == {61: 2, 62: 1, 63: 3}
    assert feed.view.trigger_position == 4


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (61, b"{", "is no JSON"),
        (61, b"\xff\xfe", "is no JSON"),
        (61, [TRIGGER], "is no JSON object"),
        (61, TRIGGER | {"template_id": "weak_jwt"}, "template_id: 'weak_jwt'"),
        (61, TRIGGER | {"threshold": {"count": 1, "period": 7}}, "threshold.period: 7"),
        (61, TRIGGER | {"id": 62}, "the record's key is 61"),
    ],
)
def test_a_bad_record_removes_its_object_until_a_good_one_comes(
    key: int, value: object, reason: str
) -> None:
    feed = Feed()
    feed.put("triggers", 61, TRIGGER)
    with capture_logs() as logs:
        offset = feed.put("triggers", key, value)
    assert feed.view.triggers == {}
    assert feed.gauge("invalid", "triggers") == 1
    (line,) = logs
    assert line["event"] == "config_record_invalid"
    assert (line["topic"], line["partition"], line["offset"]) == ("t.config.triggers", 0, offset)
    assert reason in line["reason"]
    feed.put("triggers", 61, TRIGGER)
    assert list(feed.view.triggers) == [61]
    assert feed.gauge("invalid", "triggers") == 0


def test_nobody_is_told_what_is_wrong_with_a_record_that_was_replaced() -> None:
    feed, sound = Feed(), orjson.dumps(TRIGGER)
    values = [(b"61", b"{"), (b"62", b"spoiled"), (b"62", None), (b"61", sound), (b"63", b"{")]
    with capture_logs() as logs:
        feed.applier.apply(
            Record("t.config.triggers", key, value, at) for at, (key, value) in enumerate(values)
        )
    assert [(line["event"], line["offset"]) for line in logs] == [("config_record_invalid", 4)]
    assert list(feed.view.triggers) == [61]
    assert feed.view.trigger_offsets == {61: 3, 62: 2, 63: 4}
    assert feed.gauge("invalid", "triggers") == 1


@pytest.mark.parametrize("key", [None, b"", b"abc", b"6 1", b"-1", "٦١".encode(), b"9" * 5000])
def test_a_key_that_is_no_id_is_invalid(key: bytes | None) -> None:
    feed = Feed()
    with capture_logs() as logs:
        feed.put("triggers", key, TRIGGER)
    assert feed.view.triggers == {}
    assert feed.gauge("invalid", "triggers") == 1
    assert "must be the object's id as text" in logs[0]["reason"]
    assert feed.view.trigger_position == 1


@pytest.mark.parametrize("key", [b"K" * 1_000_000, b"\xff" * 1_000_000, b"9" * 1_000_000])
def test_a_key_that_is_too_long_for_a_line_is_cut_in_the_log(key: bytes) -> None:
    feed = Feed()
    with capture_logs() as logs:
        feed.put("triggers", key, TRIGGER)
    (line,) = logs
    assert len(line["reason"]) < 500
    assert "of 1,000,000 bytes: must be the object's id as text" in line["reason"]


def test_a_short_key_is_logged_whole() -> None:
    feed = Feed()
    with capture_logs() as logs:
        feed.put("triggers", b"k" * 80, TRIGGER)
    assert logs[0]["reason"] == f"key '{'k' * 80}': must be the object's id as text"


def test_an_integration_with_a_clear_key_is_not_used_and_its_key_not_logged() -> None:
    feed = Feed()
    target = INTEGRATION["target"] | {"token": "fake-key-not-real"}
    with capture_logs() as logs:
        feed.put("integrations", 521, INTEGRATION | {"target": target})
    assert feed.view.integrations == {}
    assert feed.gauge("invalid", "integrations") == 1
    assert "stream-app apply" in logs[0]["reason"]
    assert "fake-key-not-real" not in str(logs)


def test_a_record_that_is_too_large_is_invalid_and_its_integration_not_deleted() -> None:
    feed = Feed()
    feed.put("integrations", 521, INTEGRATION | {"name": "x" * 140_000})
    assert feed.view.integrations == {}
    assert feed.view.invalid_integrations == {521}
    feed.put("integrations", 521, INTEGRATION)
    assert feed.view.invalid_integrations == frozenset()
    feed.put("integrations", 521, b"{")
    assert feed.view.invalid_integrations == {521}
    feed.put("integrations", 521, None)
    assert feed.view.invalid_integrations == frozenset()


def test_no_metric_is_shown_before_everything_has_been_read() -> None:
    metrics = Metrics()
    applier = RecordApplier(Settings(topic_prefix="t."))
    value = orjson.dumps(TRIGGER)
    applier.apply([Record("t.config.triggers", b"61", value, 0, timestamp=1767225600500)])
    names = ("config_objects", "config_invalid", "config_last_applied_timestamp_seconds")
    gauges = [(f"stream_app_{name}", {"kind": "triggers"}) for name in names]
    gauges += [("stream_app_triggers_active", {})]
    gauges += [("stream_app_triggers_not_evaluated", {"part": "condition"})]
    sample = metrics.registry.get_sample_value
    assert [sample(name, labels) for name, labels in gauges] == [None] * 5
    applier.report_to(metrics)
    assert [sample(name, labels) for name, labels in gauges] == [1, 0, 1767225600.5, 1, 0]


def test_a_deleted_integration_is_told_from_one_that_never_existed() -> None:
    feed = Feed()
    feed.put("integrations", 521, INTEGRATION)
    feed.put("triggers", 61, None)
    assert feed.view.deleted_integrations == frozenset()
    feed.put("integrations", 521, None)
    assert feed.view.deleted_integrations == {521}
    feed.put("integrations", 521, INTEGRATION)
    assert feed.view.deleted_integrations == frozenset()
    feed.put("integrations", 521, None)
    feed.applier.forget("t.config.integrations")
    assert feed.view.deleted_integrations == frozenset()


def test_a_batch_is_one_change() -> None:
    feed = Feed()
    records = [
        Record("t.config.triggers", b"61", orjson.dumps(TRIGGER | {"name": str(n)}), n)
        for n in range(3)
    ]
    feed.applier.apply(records)
    assert feed.view.version == 1
    assert feed.view.triggers[61].name == "2"
    assert feed.view.trigger_offsets == {61: 2}


def test_forgetting_a_topic_leaves_the_others_alone() -> None:
    feed = Feed()
    feed.put("clients", 1111, CLIENT)
    feed.put("triggers", 61, TRIGGER)
    feed.put("triggers", 62, b"spoiled")
    feed.applier.forget("t.config.triggers")
    assert feed.view.triggers == {}
    assert feed.view.trigger_offsets == {}
    assert feed.view.trigger_position == 0
    assert feed.gauge("invalid", "triggers") == 0
    assert list(feed.view.clients) == [1111]


BLOCK = {"id": "block_ips", "params": {"lock_time": 3600}}
VECTOR = TRIGGER | {"id": 62, "template_id": "vector_attack", "actions": [BLOCK]}
BLOCKING = TRIGGER | {"id": 63, "actions": [*TRIGGER["actions"], BLOCK]}


def not_evaluated(feed: Feed) -> list[float | None]:
    """Return how many triggers do nothing at all here, and how many leave reactions out."""
    name, value = "stream_app_triggers_not_evaluated", feed.metrics.registry.get_sample_value
    return [value(name, {"part": part}) for part in ("condition", "reactions")]


def test_triggers_that_are_not_evaluated_are_counted_and_logged_once() -> None:
    feed = Feed()
    assert not_evaluated(feed) == [0, 0]
    with capture_logs() as logs:
        feed.put("triggers", 61, TRIGGER)
        feed.put("triggers", 62, VECTOR)
        feed.put("triggers", 63, BLOCKING)
        feed.put("triggers", 62, VECTOR | {"name": "Renamed"})
    assert [(line["event"], line["log_level"], line["triggers"]) for line in logs] == [
        ("triggers_not_evaluated", "info", {62: "condition vector_attack, reaction block_ips"}),
        ("triggers_not_evaluated", "info", {63: "reaction block_ips"}),
    ]
    assert not_evaluated(feed) == [1, 1]
    with capture_logs() as logs:
        feed.put("triggers", 63, BLOCKING | {"template_id": "vector_attack"})
        feed.put("triggers", 62, None)
        feed.put("triggers", 62, b"{")
    said = [line["triggers"] for line in logs if line["event"] == "triggers_not_evaluated"]
    assert said == [{63: "condition vector_attack, reaction block_ips"}]
    assert not_evaluated(feed) == [1, 0]
    feed.applier.forget("t.config.triggers")
    assert not_evaluated(feed) == [0, 0]


def test_many_triggers_that_are_not_evaluated_are_one_log_line() -> None:
    feed = Feed()
    records = [
        Record("t.config.triggers", b"%d" % n, orjson.dumps(VECTOR | {"id": n}), n)
        for n in range(1, 201)
    ]
    with capture_logs() as logs:
        feed.applier.apply(records)
    (line,) = logs
    assert (line["count"], len(line["triggers"])) == (200, 50)
    assert not_evaluated(feed) == [200, 0]


def test_clients_that_share_a_name_are_logged_once_and_the_lower_id_keeps_it() -> None:
    feed = Feed()
    with capture_logs() as logs:
        feed.put("clients", 2222, CLIENT | {"client_id": 2222})
        feed.put("clients", 1111, CLIENT)
        feed.put("clients", 1111, CLIENT | {"applications": {"7": "Shop"}})
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("client_name_shared", "warning")
    assert (line["client_id"], line["kept_by"]) == (2222, 1111)
    assert ClientNames(feed.view.clients).client_id("Acme") == 1111
