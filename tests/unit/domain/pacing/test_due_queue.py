from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.pacing.due_queue import DueQueue

FAST = 1e6


def queue(max_in_flight: int = 10, max_per_group: int = 2) -> DueQueue[str]:
    """Return a queue whose groups have all been quick."""
    found: DueQueue[str] = DueQueue(max_in_flight, max_per_group, FAST)
    for group in range(10):
        found.note_result(group, is_quick=True, is_accepted=True)
    return found


def filled(found: DueQueue[str], group: int, number: int) -> DueQueue[str]:
    for count in range(number):
        found.put(f"{group}/{count}", group, 0, f"{group}/{count}")
    return found


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
    # This holds while the busy group waits for its own places, too.
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


def test_the_total_bound_holds() -> None:
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
            st.sampled_from(
                ["put", "take", "release", "discard", "quick", "slow", "failing", "hold"]
            ),
            st.integers(0, 7),
            st.integers(0, 20),
        ),
        max_size=200,
    )
)
def test_bounds_hold_and_nothing_is_lost_whatever_happens(
    steps: list[tuple[str, int, int]],
) -> None:
    waiting: DueQueue[str] = DueQueue(4, 2, FAST)
    in_flight: list[str] = []
    expected: set[str] = set()
    for now, (step, number, due_ms) in enumerate(steps):
        key = str(number)
        if step == "put":
            waiting.put(key, number % 3, due_ms, key, attempt=1 + due_ms % 6)
            expected.add(key)
        elif step == "discard":
            waiting.discard(key)
            expected.discard(key)
        elif step in ("quick", "slow", "failing"):
            waiting.note_result(number % 3, is_quick=step != "slow", is_accepted=step != "failing")
        elif step == "hold":
            waiting.hold(number % 3, due_ms * 10)
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


def test_a_held_group_starts_nothing_until_its_time_and_others_go_on() -> None:
    waiting = filled(filled(queue(), 1, 3), 2, 1)
    waiting.hold(1, 5000)
    assert waiting.take(0) == ["2/0"]
    assert waiting.next_due_ms() == 5000
    waiting.hold(1, 3000)
    assert waiting.take(4999) == []
    assert waiting.take(5000) == ["1/0", "1/1"]


def test_a_longer_hold_takes_the_place_of_a_shorter_one() -> None:
    waiting = filled(queue(), 1, 1)
    waiting.hold(1, 1000)
    waiting.hold(1, 2000)
    assert waiting.take(1000) == []
    assert waiting.take(2000) == ["1/0"]


def test_a_group_starts_no_more_items_in_a_second_than_it_may() -> None:
    waiting: DueQueue[str] = DueQueue(1000, 1000, 5)
    waiting.note_result(1, is_quick=True, is_accepted=True)
    filled(waiting, 1, 100)
    assert len(waiting.take(0)) == 5, "at once"
    assert waiting.next_due_ms() == 200
    starts = [len(waiting.take(now)) for now in range(1, 2001)]
    assert sum(starts) == 10
    assert starts[199] == 1
    assert len(waiting.take(10_000)) == 5, "no more than that after a pause"


def test_a_group_has_one_place_until_it_has_been_quick_and_again_when_it_is_slow() -> None:
    waiting: DueQueue[str] = DueQueue(10, 3, FAST)
    filled(waiting, 1, 9)
    assert waiting.take(0) == ["1/0"]
    waiting.note_result(1, is_quick=True, is_accepted=True)
    assert waiting.take(0) == ["1/1", "1/2"]
    waiting.note_result(1, is_quick=False, is_accepted=True)
    for key in ("1/0", "1/1"):
        waiting.release(key)
        assert waiting.take(0) == []
    waiting.release("1/2")
    assert waiting.take(0) == ["1/3"]


def test_a_failing_group_has_one_place_and_its_own_rate_until_it_fails_no_more() -> None:
    waiting: DueQueue[str] = DueQueue(10, 3, FAST, 2)
    filled(waiting, 1, 20)
    for _ in range(3):
        waiting.note_result(1, is_quick=True, is_accepted=False)
    assert waiting.take(0) == ["1/0"]
    assert waiting.take(0) == [], "one place"
    waiting.release("1/0")
    assert waiting.take(0) == ["1/1"]
    waiting.release("1/1")
    for now_ms, key in ((500, "1/2"), (1000, "1/3")):
        assert waiting.take(now_ms - 1) == []
        assert waiting.take(now_ms) == [key]
        waiting.release(key)
    waiting.note_result(1, is_quick=True, is_accepted=True)
    assert waiting.take(1499) == []
    assert waiting.take(1500) == ["1/4", "1/5", "1/6"]


def test_groups_that_do_not_answer_leave_half_of_the_places_to_those_that_do() -> None:
    waiting: DueQueue[str] = DueQueue(10, 5, FAST)
    for group in range(100, 200):
        filled(waiting, group, 100)
    assert len(waiting.take(0)) == 5
    assert waiting.take(0) == []
    waiting.note_result(1, is_quick=True, is_accepted=True)
    filled(waiting, 1, 50)
    assert waiting.take(0) == [f"1/{number}" for number in range(5)]


def test_a_new_group_does_not_wait_behind_groups_that_failed_before() -> None:
    """As after a restart: only the attempts of the items are known."""
    waiting: DueQueue[str] = DueQueue(20, 5, FAST)
    for group in range(100, 200):
        waiting.put(f"{group}", group, 0, "again", attempt=9)
    assert waiting.take(0) == ["again"] * 5, "a quarter of all places"
    filled(filled(waiting, 1, 2), 2, 1)
    assert waiting.take(0) == ["1/0", "2/0"], "one place each"
    waiting.note_result(1, is_quick=False, is_accepted=False)
    waiting.release("1/0")
    assert waiting.take(0) == [], "it is one of them now"
    waiting.note_result(2, is_quick=True, is_accepted=True)
    waiting.release("2/0")
    waiting.put("2/1", 2, 0, "2/1", attempt=2)
    assert waiting.take(0) == ["2/1"], "one failure of a quick one changes nothing"


def test_the_failed_group_with_fewest_failures_is_next() -> None:
    waiting: DueQueue[str] = DueQueue(4, 4, FAST)
    for group, attempt in ((100, 9), (101, 12), (102, 2), (103, 4)):
        waiting.put(str(group), group, 0, str(group), attempt=attempt)
    order = []
    for _ in range(4):
        (found,) = waiting.take(0)
        order.append(found)
        waiting.release(found)
    assert order == ["102", "103", "100", "101"]


def test_the_due_item_of_a_group_with_most_attempts_is_next() -> None:
    """So one delivery keeps its schedule and comes to an end, however many wait."""
    waiting = queue(max_per_group=1)
    for number in range(3):
        waiting.put(f"new {number}", 1, 0, f"new {number}")
    waiting.put("old", 1, 5, "old", attempt=7)
    order = []
    for _ in range(4):
        (found,) = waiting.take(10)
        order.append(found)
        waiting.release(found)
    assert order == ["old", "new 0", "new 1", "new 2"]


def test_a_new_group_gets_its_turn_beside_busy_ones() -> None:
    waiting = queue(max_in_flight=4, max_per_group=4)
    filled(filled(waiting, 1, 100), 50, 1)
    assert "50/0" in waiting.take(0)


def test_a_group_waits_from_the_time_at_which_it_could_start_something() -> None:
    waiting = queue()
    waiting.put("later", 1, 50, "later")
    waiting.put("due", 1, 10, "due")
    waiting.put("held", 2, 10, "held")
    waiting.hold(2, 40)
    assert waiting.waiting_since(10) == {}
    assert waiting.waiting_since(30) == {1: 10}
    assert waiting.waiting_since(41) == {1: 10, 2: 40}
    waiting.discard("due")
    assert waiting.waiting_since(49) == {2: 40}
