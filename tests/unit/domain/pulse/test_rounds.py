"""When the pulse sends an event where, and when a ping is due."""

from __future__ import annotations

from stream_app.domain.pulse.rounds import MAX_OWED, MAX_REPEATS, PulseRounds

INTERVAL, LATE = 60_000, 50_000
TOPICS = {"hits": 3, "attacks": 2}


def rounds() -> PulseRounds:
    return PulseRounds(INTERVAL, LATE)


def send(found: PulseRounds, now_ms: int) -> dict[str, tuple[str, int]]:
    """Begin a round and send its events; return their delivery ids, and where each went."""
    places = found.begin(now_ms, 0, TOPICS)
    sent = {f"{topic}/{number}@{now_ms}": (topic, number) for topic, number in places}
    for name, place in sent.items():
        found.sent(place, name, now_ms)
    return sent


def test_a_ping_is_due_once_when_all_events_of_a_round_have_come_through() -> None:
    found = rounds()
    assert (found.wait_ms(7), found.wants_ping) == (0, False)
    first, last = send(found, 7)
    assert found.wait_ms(10_007) == INTERVAL - 10_000
    assert found.arrived(first)
    assert not found.wants_ping
    assert found.arrived(last)
    assert found.wants_ping
    found.pinged()
    assert not found.wants_ping
    assert found.wait_ms(7 + INTERVAL) == 0


def test_all_partitions_get_their_turn_from_where_the_last_owner_was() -> None:
    found = rounds()
    seen = [found.begin(turn * INTERVAL, 4 * INTERVAL, TOPICS) for turn in range(3)]
    assert seen == [
        [("hits", 1), ("attacks", 0)],
        [("hits", 2), ("attacks", 1)],
        [("hits", 0), ("attacks", 0)],
    ]


def test_a_topic_without_partitions_gets_no_event() -> None:
    assert rounds().begin(0, 0, {"hits": 0}) == []


def test_without_an_event_no_ping_is_due() -> None:
    found = rounds()
    found.begin(0, 0, {})
    assert not found.wants_ping


def test_an_event_that_does_not_come_through_is_late_and_is_repeated_until_one_does() -> None:
    found = rounds()
    lost, good = send(found, 0)
    found.arrived(good)
    assert found.late(LATE - 1) == []
    assert found.late(LATE) == [(("hits", 0), LATE)]
    for turn in (1, 2):
        sent = send(found, turn * INTERVAL)
        assert ("hits", 0) in sent.values()
        for name, place in sent.items():
            if place != ("hits", 0):
                found.arrived(name)
        assert not found.wants_ping
        assert found.late(turn * INTERVAL)[0][1] == turn * INTERVAL
    again = next(name for name, place in sent.items() if place == ("hits", 0))
    assert found.arrived(again)
    assert found.late(10 * INTERVAL) == []
    assert not found.arrived(lost)
    assert found.wants_ping


def test_an_old_event_that_comes_through_leaves_the_later_ones_owed() -> None:
    found = rounds()
    found.sent(("hits", 0), "a", 0)
    found.sent(("hits", 0), "b", 1000)
    assert found.arrived("a")
    assert found.late(LATE) == []
    assert found.late(LATE + 1000) == [(("hits", 0), LATE)]


def test_a_round_that_is_over_only_after_the_next_has_begun_is_a_proof_too() -> None:
    found = rounds()
    first, second = send(found, 0)
    found.arrived(first)
    *others, last = send(found, INTERVAL)
    assert found.arrived(second)
    assert found.wants_ping
    found.pinged()
    assert not found.wants_ping
    for name in others:
        found.arrived(name)
        assert not found.wants_ping
    found.arrived(last)
    assert found.wants_ping


def test_a_delivery_of_nobody_proves_nothing() -> None:
    found = rounds()
    send(found, 0)
    assert not found.arrived("stream-app:1:x/-1")
    assert not found.wants_ping


def test_a_new_owner_owes_nothing_and_begins_at_once() -> None:
    found = rounds()
    names = list(send(found, 0))
    found.reset()
    assert (found.wait_ms(1), found.late(LATE), found.wants_ping) == (0, [], False)
    assert not found.arrived(names[0])


def test_what_is_remembered_and_repeated_is_bounded() -> None:
    found = rounds()
    for number in range(MAX_OWED * 2):
        found.sent(("hits", 0), f"a{number}", number)
    assert found.late(LATE) == [(("hits", 0), LATE)]
    assert found.arrived(f"a{MAX_OWED * 2 - 1}")
    for number in range(MAX_REPEATS * 2):
        found.sent(("hits", number), f"b{number}", 0)
    assert len(found.begin(LATE, 0, TOPICS)) == len(TOPICS) + MAX_REPEATS
