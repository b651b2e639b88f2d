"""How the `dlq` commands understand what is meant, before they ask Kafka; and how they print."""

from __future__ import annotations

from typing import Any

import click
import pytest

from stream_app.cli import COMMANDS, LazyGroup
from stream_app.cli.dlq.selection import (
    dead_letter_topics,
    envelope,
    place_of,
    selection_of,
)
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.dead_letters.dead_letter_index import Selection
from stream_app.domain.errors import UsageError
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES
from stream_app.settings import Settings
from tests.unit.domain.dead_letters.test_dead_letter import letter

SETTINGS = Settings(topic_prefix="p.")
NOTHING: dict[str, Any] = {
    "integration_id": None,
    "client_id": None,
    "reasons": (),
    "start": None,
    "end": None,
}


@pytest.mark.parametrize(
    "name", ["deliveries", "deliveries.dlq", "p.deliveries", "p.deliveries.dlq"]
)
def test_a_topic_may_be_named_by_its_source_and_without_the_prefix(name: str) -> None:
    assert dead_letter_topics(SETTINGS, [name, "deliveries"]) == ["p.deliveries.dlq"]
    for text in (f"{name}/3/17", f"{name}:3:17"):
        assert place_of(SETTINGS, text) == Place("p.deliveries.dlq", 3, 17)


def test_no_topic_means_all_and_one_without_dead_letters_is_wrong_usage() -> None:
    assert len(dead_letter_topics(SETTINGS, [])) == len(DEAD_LETTER_SOURCES)
    for name in ("counts", "config.integrations.dlq", "q.deliveries.dlq"):
        with pytest.raises(UsageError, match=f"{name} has no dead letters: name one of events"):
            place_of(SETTINGS, f"{name}/3/17")


def test_options_become_a_selection_and_no_option_means_everything() -> None:
    assert selection_of(**NOTHING) == Selection()
    meant = selection_of(**NOTHING | {"start": "2026-01-01", "reasons": ("stale", "stale")})
    assert meant == Selection(since_ms=1_767_225_600_000, reasons=frozenset({"stale"}))


def test_a_time_span_that_is_empty_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"--from 1h .* is not before --to 2h "):
        selection_of(**NOTHING | {"start": "1h", "end": "2h"})


def test_the_json_form_is_that_of_kcat() -> None:
    one = letter(3, headers=(("a", b"1"), ("b", b"\xff")), key=None, timestamp_type=1)
    assert envelope(one, 2) == {
        "topic": "deliveries.dlq",
        "partition": 1,
        "offset": 3,
        "tstype": "logappend",
        "ts": one.timestamp_ms,
        "broker": 2,
        "headers": ["a", "1", "b", "\ufffd"],
        "key": None,
        "payload": (one.value or b"").decode(),
    }


def test_redriving_everything_must_be_asked_for() -> None:
    group = LazyGroup(commands=COMMANDS)
    for args in (["dlq", "redrive"], ["dlq", "redrive", "--dry-run", "--limit", "5"]):
        with pytest.raises(UsageError, match="say which dead letters are meant"):
            group.main(args, standalone_mode=False)
    with pytest.raises(click.BadParameter, match="'nonsense' is not one of 'undecodable'"):
        group.main(["dlq", "redrive", "--reason", "nonsense"], standalone_mode=False)
