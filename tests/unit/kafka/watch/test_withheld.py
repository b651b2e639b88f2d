"""Records that open transactions hold back for long are reported; a short wait is normal."""

from __future__ import annotations

from typing import Any

from faust.types import TP
from structlog.testing import capture_logs

from stream_app.kafka.records.fetch_states import Fetched
from stream_app.kafka.watch.withheld import LONG_SECONDS, WithheldRecords

HITS, OTHER = TP("hits", 0), TP("hits", 1)


class Looks:
    """Looks at the fetches each second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.withheld = WithheldRecords(lambda: self.now)

    def look(
        self, *, fetched_at: float | None = None, **ends: tuple[int | None, int | None]
    ) -> Any:
        """Take (last stable offset, end) of partitions; return what is found of the topic."""
        self.now += 1
        at_ms = round(1000 * (self.now if fetched_at is None else fetched_at))
        partitions = {"hits": HITS, "other": OTHER}
        self.withheld.look(
            {partitions[name]: Fetched(0, *pair, at_ms) for name, pair in ends.items()}
        )
        return self.withheld.by_topic.get("hits")


def test_nothing_is_known_of_a_topic_before_its_first_fetch() -> None:
    looks = Looks()
    assert looks.look() is None
    assert looks.look(hits=(None, None)) is None
    assert looks.look(hits=(5, None)) is None
    assert looks.look(hits=(5, 5)) == (0, 0)
    looks.withheld.forget()
    assert looks.withheld.by_topic == {}


def test_time_is_counted_while_one_transaction_holds_records_back() -> None:
    looks = Looks()
    assert looks.look(hits=(5, 8), other=(3, 3)) == (3, 0)
    assert looks.look(hits=(5, 9), other=(3, 3)) == (4, 1)
    assert looks.look(hits=(5, 9), other=(3, 4)) == (5, 2), "of both partitions, and the longest"
    assert looks.look(hits=(9, 9), other=(3, 4)) == (1, 1)
    assert looks.look(hits=(9, 9), other=(4, 4)) == (0, 0)


def test_short_transactions_in_a_row_do_not_add_up() -> None:
    looks = Looks()
    for end in range(200):
        records, seconds = looks.look(hits=(end, end + 3))
        assert (records, seconds) == (3, 0)


def test_no_time_is_counted_without_fetches_or_while_the_worker_is_suspended() -> None:
    looks = Looks()
    looks.look(hits=(5, 8), fetched_at=101)
    for _ in range(50):  # its buffer is full
        assert looks.look(hits=(5, 8), fetched_at=101) == (3, 0)
    looks.now += 3600  # SIGSTOP
    assert looks.look(hits=(5, 8)) == (3, 2)


def test_a_look_during_a_change_finds_no_negative_number() -> None:
    assert Looks().look(hits=(9, 5)) == (0, 0)


def test_it_is_logged_once_when_it_lasts_and_once_when_it_ends() -> None:
    looks = Looks()
    with capture_logs() as logs:
        for _ in range(round(LONG_SECONDS) + 20):
            looks.look(hits=(5, 8))
        looks.look(hits=(8, 8))
        looks.look(hits=(8, 8))
    assert [one["event"] for one in logs] == ["records_withheld", "records_withheld_no_more"]
