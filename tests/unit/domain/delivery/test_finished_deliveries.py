"""Finished deliveries compared with a plain dict, and what they cost."""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.delivery.finished_deliveries import (
    REMEMBER_MS,
    FinishedDeliveries,
    FinishedDelivery,
    encode_finished,
)
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import Result
from stream_app.domain.delivery.state import (
    UNFINISHED,
    DeliveryState,
    DeliveryStatus,
    decode_state,
    encode_state,
)
from stream_app.domain.times import HOUR_MS

TOPICS = ("deliveries", "delivery-results")
HOUR = 490_000
DIGITS = "0123456789abcdef0123456789abcdef"
OURS = f"stream-app:1:attack_type:{DIGITS}/521"
#: Ids that the short form could take for one another.
ALIKE = [
    OURS,
    OURS.replace(DIGITS, DIGITS.upper()),
    OURS.replace("/521", "/0521"),
    OURS.replace("/521", ""),
    OURS.replace("/521", "/"),
    OURS.replace("/", "//"),
    f"{DIGITS}/521",
    f"{DIGITS[:-1]}/521",
    f"{DIGITS[:-2]}é/521",
    f"{DIGITS[:-1]}g/521",
    f"{DIGITS[:4]}_{DIGITS[5:]}/521",
    f" {DIGITS[1:]}/521",
    f"+{DIGITS[1:]}/521",
    f"0x{DIGITS[2:]}/521",
    f"é:{DIGITS}/521",
    f"{DIGITS}/é/7",
    "/521",
    DIGITS,
    "a/521",
    "é",
]
IDS = st.one_of(
    st.sampled_from(ALIKE),
    st.builds(
        "{}{}/{}".format,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        st.text("0123456789abcdefAg", min_size=31, max_size=33),
        st.text("0123/", max_size=3),
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)


def end(hour: int = HOUR, status: DeliveryStatus = DeliveryStatus.SENT) -> FinishedDelivery:
    return FinishedDelivery(status, 1, 0, hour, "")


@given(st.lists(st.tuples(st.sampled_from(["put", "add", "pop"]), IDS, st.integers(1, 3))))
def test_it_holds_what_a_dict_would(steps: list[tuple[str, str, int]]) -> None:
    kept, model = FinishedDeliveries(), dict[str, FinishedDelivery]()
    for step, name, hour in steps:
        if step == "put":
            kept.put(name, end(hour))
            model[name] = end(hour)
        elif step == "add":
            assert kept.put_if_new(name.encode(), end(hour)) == (name not in model)
            model.setdefault(name, end(hour))
        else:
            assert kept.pop(name) == model.pop(name, None)
        assert len(kept) == len(model)
    assert {name: kept.get(name) for name in kept} == model


def test_ids_that_look_alike_are_told_apart() -> None:
    kept = FinishedDeliveries()
    for hour, name in enumerate(ALIKE):
        kept.put(name, end(hour))
    assert [kept.get(name) for name in ALIKE] == [end(hour) for hour in range(len(ALIKE))]
    assert sorted(kept) == sorted(ALIKE)


def test_many_that_expire_at_once_are_returned_in_parts() -> None:
    kept = FinishedDeliveries()
    names = [f"p:{number:032x}/{number % 2}" for number in range(10)]
    for name in names:
        kept.put(name, end())
    kept.put("x/1", end(HOUR + 1))
    over_ms = (HOUR + 1) * HOUR_MS + REMEMBER_MS
    assert kept.expired(over_ms - 1, 4) == []
    found: list[str] = []
    while some := kept.expired(over_ms, 4):
        assert len(some) <= 4
        found += some
        for name in some:
            kept.pop(name)
    assert (sorted(found), list(kept)) == (sorted(names), ["x/1"])
    kept.put(names[0], end())
    assert kept.expired(over_ms, 4) == [names[0]], "one that comes back is over still"


def state_of(number: int, **more: Any) -> DeliveryState:
    digits = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return DeliveryState(
        id=f"stream-app:{number % 7}:attack_type:{digits}/{number % 7}",
        client_id=number % 7,
        integration_id=number % 7,
        attempt=1,
        since_ms=HOUR * HOUR_MS,
        **more,
    )


def test_a_finished_delivery_takes_few_bytes_in_memory_and_on_kafka() -> None:
    number = 20_000
    rows = []
    for index in range(number):
        one = state_of(index, status=DeliveryStatus.SENT)
        rows.append((one.id.encode(), encode_finished(end(HOUR + index * 168 // number))))
    partition = PartitionDeliveries(TOPICS, DeliveryRules())
    tracemalloc.start()
    for key, value in rows:
        partition.restore(key, value)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(partition.states) == number
    assert used / number < 150
    assert max(len(value) for _, value in rows) < 40


@pytest.mark.parametrize("status", sorted(set(DeliveryStatus) - UNFINISHED))
def test_the_record_of_an_older_version_is_read_and_rewritten_in_the_short_form(
    status: DeliveryStatus,
) -> None:
    older = state_of(1, status=status, finished_ms=HOUR * HOUR_MS + 5, redrives=2, reason="stale")
    partition = PartitionDeliveries(TOPICS, DeliveryRules())
    partition.restore(older.id.encode(), encode_state(older))
    assert partition.states[older.id] == FinishedDelivery(status, 1, 2, HOUR, "stale")
    assert partition.now_ms == older.finished_ms
    partition.rewrite()
    ((key, value),) = partition.records(partition.cut())
    assert value is not None
    copy = PartitionDeliveries(TOPICS, DeliveryRules())
    copy.restore(key, value)
    assert copy.states == partition.states


def test_an_older_version_refuses_the_short_form() -> None:
    """It ends with an error, as with every form that it does not know."""
    with pytest.raises(msgspec.ValidationError):
        decode_state(encode_finished(end()))


def test_a_request_accepted_after_the_delivery_was_cancelled_counts_after_a_restart() -> None:
    one = state_of(1, status=DeliveryStatus.CANCELLED, finished_ms=HOUR * HOUR_MS)
    partition = PartitionDeliveries(TOPICS, DeliveryRules())
    partition.restore(one.id.encode(), encode_state(one))
    late = Result(
        one.id, 1, 1, "opsgenie", 1, accepted=True, reason="accepted", message="",
        finished_at_ms=HOUR * HOUR_MS, duration_seconds=0.1,
    )  # fmt: skip
    assert partition.add_result(late, 0, (HOUR + 1) * HOUR_MS)
    assert partition.states[one.id] == end(HOUR + 1)
    (transition,) = partition.cut().transitions
    assert (transition.after.status, transition.before.since_ms) == (DeliveryStatus.SENT, 0)
    assert not partition.add_result(late, 1, (HOUR + 1) * HOUR_MS)
