from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.due_queue import DueQueue


def queue(max_in_flight: int = 10, max_per_group: int = 2) -> DueQueue[str]:
    return DueQueue(max_in_flight, max_per_group)


def test_an_item_starts_when_it_is_due_and_not_before() -> None:
    waiting = queue()
    waiting.put("a", 1, 1000, "a")
    assert waiting.next_due_ms() == 1000
    assert waiting.take(999) == []
    assert waiting.take(1000) == ["a"]
    assert waiting.take(2000) == []
    assert (len(waiting), waiting.next_due_ms()) == (0, None)


def test_a_group_with_many_due_items_does_not_hold_the_others_back() -> None:
    waiting = queue(max_in_flight=6, max_per_group=4)
    for number in range(1000):
        waiting.put(f"busy {number}", 1, 0, "busy")
    for group in (2, 3):
        waiting.put(f"quiet {group}", group, 100, f"quiet {group}")
    assert waiting.take(100)[:3] == ["busy", "quiet 2", "quiet 3"]
    # Also while the busy one waits for its own places.
    waiting.put("late", 4, 100, "late")
    assert waiting.take(100) == []
    waiting.release("busy 0")
    assert waiting.take(100) == ["late"]


def test_the_bound_of_a_group_holds_and_a_release_frees_its_place() -> None:
    waiting = queue(max_per_group=2)
    for number in range(3):
        waiting.put(str(number), 1, number, str(number))
    assert waiting.take(10) == ["0", "1"]
    assert waiting.take(10) == []
    waiting.release("0")
    assert waiting.take(10) == ["2"]


def test_the_bound_in_all_holds() -> None:
    waiting = queue(max_in_flight=3)
    for group in range(1, 6):
        waiting.put(str(group), group, 0, str(group))
    assert waiting.take(0) == ["1", "2", "3"]
    waiting.release("2")
    assert waiting.take(0) == ["4"]


def test_a_later_put_replaces_what_waits() -> None:
    waiting = queue()
    waiting.put("a", 1, 10, "first")
    waiting.put("a", 1, 20, "second")
    assert waiting.take(10) == []
    assert waiting.take(20) == ["second"]


def test_an_item_that_is_due_can_still_be_replaced_or_discarded() -> None:
    waiting = queue(max_in_flight=1)
    waiting.put("a", 1, 0, "a")
    waiting.put("b", 1, 0, "b")
    waiting.put("c", 1, 0, "c")
    assert waiting.take(0) == ["a"]
    waiting.discard("b")
    waiting.put("c", 1, 5, "later")
    waiting.release("a")
    assert waiting.take(4) == []
    assert waiting.take(5) == ["later"]


def test_an_item_is_never_in_flight_twice() -> None:
    waiting = queue()
    waiting.put("a", 1, 0, "attempt 1")
    assert waiting.take(0) == ["attempt 1"]
    waiting.put("a", 1, 0, "attempt 2")
    assert waiting.take(0) == []
    waiting.release("a")
    assert waiting.take(0) == ["attempt 2"]


def test_clear_forgets_what_waits_and_keeps_what_is_in_flight() -> None:
    waiting = queue()
    waiting.put("a", 1, 0, "a")
    waiting.take(0)
    waiting.put("b", 1, 0, "b")
    waiting.clear()
    assert waiting.take(0) == []
    waiting.put("a", 1, 0, "a again")
    assert waiting.take(0) == []
    waiting.release("a")
    assert waiting.take(0) == ["a again"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "take", "release", "discard"]),
            st.integers(0, 7),
            st.integers(0, 20),
        ),
        max_size=200,
    )
)
def test_bounds_hold_and_nothing_is_lost_whatever_happens(
    steps: list[tuple[str, int, int]],
) -> None:
    waiting: DueQueue[str] = DueQueue(max_in_flight=4, max_per_group=2)
    in_flight: list[str] = []
    expected: set[str] = set()
    for now, (step, number, due_ms) in enumerate(steps):
        key = str(number)
        if step == "put":
            waiting.put(key, number % 3, due_ms, key)
            expected.add(key)
        elif step == "discard":
            waiting.discard(key)
            expected.discard(key)
        elif step == "release" and in_flight:
            waiting.release(in_flight.pop(number % len(in_flight)))
        else:
            taken = waiting.take(now)
            expected -= set(taken)
            in_flight += taken
        assert len(in_flight) <= 4
        assert len(set(in_flight)) == len(in_flight)
        assert max(Counter(int(key) % 3 for key in in_flight).values(), default=0) <= 2
    while in_flight or expected:
        for key in in_flight:
            waiting.release(key)
        in_flight = waiting.take(1000)
        assert in_flight or not expected, "what waits must start some time"
        expected -= set(in_flight)
