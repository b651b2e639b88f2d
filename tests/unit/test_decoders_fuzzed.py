"""No bytes make a decoder raise anything but what it says it does; events have their own test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream_app.domain.alerts.alert import NoticeAlert, decode_alert, encode_alert
from stream_app.domain.alerts.notice_text import render_notice
from stream_app.domain.alerts.threshold_text import render_alert
from stream_app.domain.configuration.statuses import decode_status, encode_status
from stream_app.domain.counting.partial_counts import decode_partial_counts
from stream_app.domain.dead_letters.dead_letter import DeadLetterKind
from stream_app.domain.dead_letters.dead_letter_index import Selection
from stream_app.domain.dead_letters.redrive_rules import next_step, why_not_redriven
from stream_app.domain.delivery.records import (
    decode_delivery,
    decode_result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.delivery.state import decode_state, encode_state
from stream_app.domain.errors import RejectedEventError
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.topics import VIEW_KINDS
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.configuration.view import RecordApplier
from stream_app.kafka.dead_letters.reading import dead_letter_of, is_mark
from stream_app.kafka.dead_letters.writing import HEADERS, attempt_of, epoch_of
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from tests.unit import valid_records as valid
from tests.unit.mutations import mutated


@pytest.mark.parametrize(
    ("decode", "encode", "records"),
    [
        (decode_delivery, encode_delivery, valid.DELIVERIES),
        (decode_result, encode_result, valid.RESULTS),
        (decode_state, encode_state, valid.STATES),
        (decode_status, encode_status, valid.STATUSES),
        (decode_partial_counts, msgspec.json.encode, valid.PARTIALS),
    ],
)
@given(data=st.data())
def test_decoded_records_can_be_encoded_again_and_others_are_decode_errors(
    decode: Callable[[bytes], Any],
    encode: Callable[[Any], bytes],
    records: Sequence[bytes],
    data: st.DataObject,
) -> None:
    assert decode(encode(decode(records[0]))) == decode(records[0])
    try:
        found = decode(data.draw(mutated(records)))
    except DECODE_ERRORS:
        return
    assert decode(encode(found)) == found


@given(mutated(valid.ALERTS))
def test_an_alert_has_a_text_or_is_refused(value: bytes) -> None:
    try:
        alert = decode_alert(value)
        message = render_notice(alert) if isinstance(alert, NoticeAlert) else render_alert(alert)
    except (*DECODE_ERRORS, RejectedEventError):
        return
    assert message.title
    assert decode_alert(encode_alert(alert)) == alert


@pytest.mark.parametrize("topic", VIEW_KINDS)
@given(data=st.data())
def test_a_configuration_record_is_an_object_or_counted_as_invalid_and_its_neighbours_stay(
    topic: Topic, data: st.DataObject
) -> None:
    metrics = Metrics()
    applier = RecordApplier(Settings())
    applier.report_to(metrics)
    records = valid.CONFIG[topic]
    key = b"61" if topic is Topic.TRIGGERS else b"521"
    key = b"1111" if topic is Topic.CLIENTS else key
    values = [data.draw(mutated(records)) for _ in range(3)]
    rows = [(b"%d" % number, value) for number, value in enumerate(values, 1)]
    spoiled = data.draw(mutated(records))
    batch = [
        SimpleNamespace(topic=topic, partition=0, offset=n, key=name, value=value, timestamp=n)
        for n, (name, value) in enumerate([*rows, (key, records[0])])
    ]
    with capture_logs():
        applier.apply(batch)
        kind = VIEW_KINDS[topic]
        found = getattr(applier.configuration, kind)
        assert int(key) in found
        value = metrics.registry.get_sample_value
        invalid = value("stream_app_config_invalid", {"kind": kind})
        assert invalid is not None
        assert len(found) + invalid == 4
        batch[0].offset, batch[0].key, batch[0].value = 9, key, spoiled
        applier.apply(batch[:1])
    is_there = int(key) in getattr(applier.configuration, kind)
    now = value("stream_app_config_invalid", {"kind": kind})
    assert now == invalid + (not is_there)


headers = st.lists(
    st.tuples(
        st.sampled_from([*HEADERS, "own", "x-error-reason"]),
        st.none()
        | st.binary(max_size=30)
        | st.sampled_from([b"1", b"-1", b"9" * 30, "²".encode(), b"\xff", b"exhausted"]),
    ),
    max_size=8,
)


@given(
    headers,
    mutated([*valid.ALERTS, *valid.DELIVERIES, *valid.NOTICE_RECORDS]),
    st.sampled_from(list(DeadLetterKind)),
    st.none() | st.binary(max_size=8),
)
def test_any_dead_letter_can_be_shown(
    facts: Any, value: bytes, kind: DeadLetterKind, key: bytes | None
) -> None:
    record = SimpleNamespace(
        topic="alerts.dlq",
        partition=0,
        offset=3,
        timestamp=1,
        timestamp_type=1,
        key=key,
        value=value,
        headers=facts,
    )
    letter = dead_letter_of(record, kind)
    assert 1 <= attempt_of(facts) == letter.attempt
    assert epoch_of(facts) >= 0
    assert is_mark(record) in (True, False)
    assert next_step(letter, None)
    assert isinstance(why_not_redriven(letter, "alerts", (), {}), str)
    assert Selection().holds(letter)
    Selection(integration_id=521, client_id=1111).holds(letter)
    assert all(isinstance(number, int) for number in letter.integration_ids)
