"""When the barrier passes: never on a doubt, and always once everything has been read."""

from __future__ import annotations

import pytest

from stream_app.notifier.closing.barrier import (
    HELD_BACK_MS,
    Barrier,
    OpenTransactions,
    PartitionEnd,
    Passage,
)

EVENTS = Passage(("events.attacks", "events.hits"), "detector")
ALERTS = Passage(("alerts",), "notifier")
ATTACKS, HITS, MORE_HITS = ("events.attacks", 0), ("events.hits", 0), ("events.hits", 1)
FIRST = "first topic"


def ended(log: int, stable: int | None = None, topic_id: str = FIRST) -> PartitionEnd:
    return PartitionEnd(log if stable is None else stable, log, topic_id)


class Looked:
    """A barrier of one passage, whose topics but for one partition are empty."""

    def __init__(self, transactions: OpenTransactions | None = None) -> None:
        self.barrier = Barrier([EVENTS], transactions or OpenTransactions())

    def look(
        self,
        at: int | None,
        end: PartitionEnd | None,
        now_ms: int = 0,
        *,
        more: PartitionEnd | None = None,
    ) -> str | None:
        ends: dict[tuple[str, int], PartitionEnd | None] = {ATTACKS: ended(0), HITS: end}
        if more is not None:
            ends[MORE_HITS] = more
        return self.barrier.look({} if at is None else {HITS: at}, ends, now_ms)

    @property
    def has_passed(self) -> bool:
        return self.barrier.passage is None


def test_it_passes_at_once_where_all_is_read() -> None:
    looked = Looked()
    assert looked.look(7, ended(7)) is None
    assert looked.has_passed


def test_it_waits_for_what_was_there_when_it_began_and_not_for_what_comes_later() -> None:
    looked = Looked()
    assert (
        looked.look(3, ended(7))
        == "group detector is at offset 3 of events.hits partition 0, behind 7"
    )
    assert looked.look(6, ended(90)) is not None
    assert looked.look(7, ended(95)) is None
    assert looked.has_passed


def test_a_partition_that_never_had_a_record_needs_no_commit() -> None:
    looked = Looked()
    assert looked.look(None, ended(0)) is None
    assert looked.has_passed


def test_records_that_nobody_has_committed_an_offset_for_are_in_the_way() -> None:
    looked = Looked()
    why = "group detector has committed no offset of events.hits partition 0"
    assert looked.look(None, ended(1)) == why
    assert looked.look(1, ended(1)) is None


def test_records_that_retention_has_removed_must_have_been_read_too() -> None:
    """A worker that is suspended may hold them in memory, and count them when it wakes up."""
    looked = Looked()
    assert looked.look(3, ended(7)) is not None
    assert looked.look(3, ended(7), now_ms=10**9) is not None


def test_an_offset_beyond_the_end_belongs_to_another_topic() -> None:
    looked = Looked()
    why = looked.look(500, ended(400))
    assert why is not None
    assert "offset 500 of events.hits partition 0, beyond its end 400" in why
    assert looked.look(500, ended(450)) is not None
    assert not looked.has_passed


def test_an_offset_of_another_topic_stays_in_the_way_when_the_topic_has_grown_past_it() -> None:
    """At 600 the old offset lies within the topic, but nobody has read up to 600."""
    looked = Looked()
    assert looked.look(500, ended(600)) is not None
    assert looked.look(500, ended(700)) is not None


def test_a_topic_that_is_made_anew_meanwhile_is_looked_at_from_the_start() -> None:
    looked = Looked()
    assert looked.look(3, ended(7)) is not None
    assert looked.look(7, ended(900, topic_id="second topic")) is not None
    assert looked.look(900, ended(900, topic_id="second topic")) is None


def test_a_topic_that_is_missing_is_in_the_way() -> None:
    barrier = Barrier([EVENTS], OpenTransactions())
    assert barrier.look({}, {HITS: ended(0)}, 0) == "topic events.attacks does not exist"
    assert barrier.passage is EVENTS


def test_a_topic_that_disappears_meanwhile_is_in_the_way() -> None:
    looked = Looked()
    assert looked.look(3, ended(7)) is not None
    why = looked.barrier.look({HITS: 7}, {HITS: ended(7)}, 0)
    assert why == "topic events.attacks does not exist"


def test_a_partition_that_cannot_be_asked_is_in_the_way() -> None:
    looked = Looked()
    why = "events.hits partition 0 has no leader that answers"
    assert looked.look(7, None) == why
    assert looked.look(7, ended(9)) is not None  # the ends count from here on
    assert looked.look(9, None) == why
    assert looked.look(9, ended(9)) is None


def test_a_partition_that_is_added_holds_nothing_up_while_it_is_empty() -> None:
    looked = Looked()
    assert looked.look(7, ended(7), more=ended(0)) is None


def test_a_partition_that_is_added_with_records_waits_for_its_reader() -> None:
    looked = Looked()
    why = looked.look(7, ended(7), more=ended(2))
    assert why == "group detector has committed no offset of events.hits partition 1"


def test_what_came_to_an_added_partition_after_the_beginning_is_not_waited_for() -> None:
    looked = Looked()
    assert looked.look(3, ended(7)) is not None
    assert looked.look(7, ended(7), more=ended(2)) is None


def test_it_tells_how_many_partitions_are_in_the_way() -> None:
    barrier = Barrier([EVENTS], OpenTransactions())
    ends = {ATTACKS: ended(5), HITS: ended(5), MORE_HITS: ended(5)}
    why = barrier.look({MORE_HITS: 4}, ends, 0)
    assert why is not None
    assert why.startswith("group detector has committed no offset of events.attacks partition 0")
    assert why.endswith(", and 2 more partitions")


def test_the_end_of_a_passage_counts_from_when_the_passage_before_is_over() -> None:
    """Only then does the next topic hold all that the records before have caused."""
    barrier = Barrier([EVENTS, ALERTS], OpenTransactions())
    assert barrier.look({HITS: 7}, {ATTACKS: ended(0), HITS: ended(7)}, 0) is None
    assert barrier.passage is ALERTS
    assert barrier.look({("alerts", 0): 2}, {("alerts", 0): ended(3)}, 0) is not None
    assert barrier.look({("alerts", 0): 3}, {("alerts", 0): ended(4)}, 0) is None
    assert barrier.passage is None


class TestOpenTransactions:
    WHY = "a transaction holds back events.hits partition 0 from offset 7 on"

    def test_what_a_transaction_holds_back_is_waited_for(self) -> None:
        looked = Looked()
        assert looked.look(7, ended(9, stable=7)) == self.WHY
        assert looked.look(7, ended(12, stable=7), HELD_BACK_MS - 1) == self.WHY
        assert not looked.has_passed

    def test_it_must_be_read_after_it_has_been_committed(self) -> None:
        looked = Looked()
        assert looked.look(7, ended(9, stable=7)) == self.WHY
        behind = "group detector is at offset 7 of events.hits partition 0, behind 9"
        assert looked.look(7, ended(10), 1) == behind
        assert looked.look(7, ended(10), 2 * HELD_BACK_MS) == behind
        assert looked.look(10, ended(10)) is None

    def test_one_that_was_given_up_is_not_waited_for(self) -> None:
        looked = Looked()
        assert looked.look(7, ended(9, stable=7)) == self.WHY
        assert looked.look(7, ended(12, stable=7), HELD_BACK_MS) is None
        assert looked.has_passed

    def test_what_is_committed_before_it_must_be_read_all_the_same(self) -> None:
        looked = Looked()
        assert looked.look(5, ended(9, stable=7)) is not None
        assert looked.look(6, ended(9, stable=7), HELD_BACK_MS) is not None
        assert looked.look(7, ended(9, stable=7), HELD_BACK_MS) is None

    def test_the_next_barrier_knows_since_when_it_is_open(self) -> None:
        transactions = OpenTransactions()
        assert Looked(transactions).look(7, ended(9, stable=7)) == self.WHY
        later = Looked(transactions)
        assert later.look(7, ended(99, stable=7), HELD_BACK_MS) is None
        assert later.has_passed

    @pytest.mark.parametrize(
        "between",
        [ended(9), ended(12, stable=8), ended(12, stable=7, topic_id="second topic")],
        ids=["none is open", "another one is open", "of another topic"],
    )
    def test_a_new_one_is_waited_for_anew(self, between: PartitionEnd) -> None:
        transactions = OpenTransactions()
        transactions.note({HITS: ended(9, stable=7)}, 0)
        transactions.note({HITS: between}, 1)
        transactions.note({HITS: ended(12, stable=7)}, 2)
        assert not transactions.is_given_up(HITS, HELD_BACK_MS + 1)
        assert transactions.is_given_up(HITS, HELD_BACK_MS + 2)
