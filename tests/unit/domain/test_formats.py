"""Formats: which records are refused, and that no state is without one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.domain.errors import NewerFormatError
from stream_app.domain.formats import (
    RECORD_FORMATS,
    STATE_FORMATS,
    format_headers,
    require_known_formats,
    require_known_state,
    with_format,
)
from stream_app.domain.state import packed_log
from stream_app.domain.topics import EVENT_TOPICS, Topic
from stream_app.kafka.state.state_problems import TABLES

PRODUCERS = {*EVENT_TOPICS, Topic.ACCOUNT}


def record(*headers: tuple[str, bytes | None], offset: int = 7) -> Any:
    return SimpleNamespace(offset=offset, headers=headers)


def test_every_topic_but_those_of_producers_and_every_state_has_a_format() -> None:
    assert set(RECORD_FORMATS) == set(Topic) - PRODUCERS
    tables = {table for tables in TABLES.values() for table in tables}
    assert set(STATE_FORMATS) == tables
    packed = {"cells-attacks", "cells-hits", "cells-incidents", "windows"}
    assert {STATE_FORMATS[table] for table in packed} == {packed_log.FORM}


@pytest.mark.parametrize("topic", sorted(RECORD_FORMATS))
def test_a_newer_record_is_refused_and_everything_about_it_is_named(topic: Topic) -> None:
    known = RECORD_FORMATS[topic]
    own, newer = format_headers(topic, is_newest=True), b"%d" % (known + 1)
    require_known_formats(f"p.{topic}", 3, [record(*own), record(), record(("x-format", None))])
    with pytest.raises(NewerFormatError) as found:
        require_known_formats(f"p.{topic}", 3, [record(*own), record(("x-format", newer))])
    start = f"p.{topic} partition 3, offset 7 has format {known + 1}, and this version ("
    assert str(found.value).startswith(start)
    assert f"up to {known}. A newer stream-app has written it: run that version" in str(found.value)


def test_a_record_has_the_usual_format_unless_it_names_another() -> None:
    usual, newest = (format_headers(Topic.DELIVERIES, is_newest=is_it) for is_it in (False, True))
    assert (usual, newest) == ((("x-format", b"1"),), (("x-format", b"2"),))
    assert with_format([("a", b"")], usual) == [("a", b""), *usual]
    assert with_format([("a", b""), *newest], usual) == [("a", b""), *newest]
    assert with_format([], ()) == []


@pytest.mark.parametrize("value", [b"", b"x", b"-3", b"9" * 5000, "²".encode()])
def test_a_header_that_holds_no_format_is_none(value: bytes) -> None:
    require_known_formats("alerts", 0, [record(("x-format", value))])


@pytest.mark.parametrize("topic", sorted(PRODUCERS))
def test_a_producer_cannot_end_a_worker_by_a_header(topic: Topic) -> None:
    strange = record(("x-format", b"9"), ("x-dead-letter-format", b"9"))
    require_known_formats(f"p.{topic}", 0, [strange])
    require_known_formats(f"p.{topic}.dlq", 0, [record(("x-format", b"9"))])
    assert format_headers(topic) == ()


def test_a_newer_dead_letter_is_refused() -> None:
    with pytest.raises(NewerFormatError, match=r"hits\.dlq partition 0, offset 7 has format 2"):
        require_known_formats("events.hits.dlq", 0, [record(("x-dead-letter-format", b"2"))])


def test_a_newer_state_is_refused_and_so_is_one_of_an_unknown_table() -> None:
    require_known_state("p.x-windows-changelog", "windows", 2)
    with pytest.raises(NewerFormatError, match=r"^c holds a state of format 3, and this version"):
        require_known_state("c", "windows", 3)
    with pytest.raises(NewerFormatError, match="up to 0"):
        require_known_state("c", "of-the-future", 1)
