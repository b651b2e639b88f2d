from __future__ import annotations

import pytest

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import ConfigurationError, UsageError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.from_files import as_enabled, read_file_configuration
from stream_app.domain.replay.kcat_lines import parse_line
from tests.unit.domain.counting.test_partition_counts import trigger
from tests.unit.domain.objects import parse_trigger

KEY = "00000000-1111-2222-3333-444444444444"
INTEGRATION = {
    "id": 521, "client_id": 1, "name": "On-call", "type": "opsgenie", "active": True, "events": [],
    "target": {"api": "https://api.opsgenie.com/v2/alerts", "token": KEY},
}  # fmt: skip
CLIENT = {"id": 1, "name": "Acme", "cloud": "EU"}


def objects(*found: dict[str, object]) -> list[FileObject]:
    return [FileObject("a.yaml", n, one) for n, one in enumerate(found, start=1)]


def test_objects_are_read_as_files_hold_them_and_no_key_is_kept() -> None:
    given = read_file_configuration(objects(INTEGRATION, CLIENT, trigger(7)), allowed_periods=(60,))
    assert (set(given.clients), set(given.triggers), set(given.integrations)) == ({1}, {7}, {521})
    assert given.kinds == set(Kind)
    assert KEY not in given.integrations[521].key
    without = read_file_configuration(objects(trigger(7)), allowed_periods=(60,))
    assert without.kinds == {Kind.TRIGGER}


def test_all_problems_are_named_and_no_key() -> None:
    bad = INTEGRATION | {"name": 5, "events": [KEY]}
    with pytest.raises(ConfigurationError) as found:
        read_file_configuration(
            objects(bad, {"x": 1}, trigger(7), trigger(7, 61)), allowed_periods=(60,)
        )
    text = str(found.value)
    assert "integration 521: name: 5" in text
    assert "object 2: must be a client, integration or trigger" in text
    assert "trigger 7: threshold.period: 61" in text
    assert "trigger 7: stands twice" in text
    assert KEY not in text


def test_a_trigger_that_is_configured_keeps_its_revision() -> None:
    live = {7: parse_trigger(trigger(7, enabled_at=99), allowed_periods=(60,))}
    given = read_file_configuration(objects(trigger(7), trigger(8)), allowed_periods=(60,)).triggers
    found = as_enabled(given, live)
    assert found[7].revision == live[7].revision
    assert found[8] == given[8]


def test_a_line_of_kcat_is_a_record() -> None:
    line = (
        b'{"topic":"p.events.hits","partition":3,"offset":7,"tstype":"create","ts":1500,'
        b'"broker":0,"headers":["a","b"],"key":"k","payload":"{\\"client_id\\":1}"}'
    )
    record = parse_line(line)
    assert (record.topic, record.partition, record.offset) == ("p.events.hits", 3, 7)
    assert (record.timestamp, record.value) == (1500, b'{"client_id":1}')
    assert parse_line(b'{"topic":"t","payload":null}').value is None
    for bad in (b"x", b"[]", b'{"topic":1}', b'{"partition":0}'):
        with pytest.raises(UsageError, match="no line of `kcat -J`"):
            parse_line(bad)
