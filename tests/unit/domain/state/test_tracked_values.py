"""Tracked values compared with a plain dict, in any sequence of changes, cuts and crashes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.state.tracked_values import TrackedValues

KEYS = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), KEYS),
        st.tuples(st.just("remove"), KEYS),
        st.tuples(st.sampled_from(["cut", "confirm", "roll back"]), st.just("")),
    ),
    max_size=30,
)


def tracked_values() -> TrackedValues[str, int]:
    return TrackedValues(lambda value: (value,))


@given(STEPS)
def test_memory_and_changelog_hold_what_was_confirmed(steps: list[tuple[str, str]]) -> None:
    kept = tracked_values()
    model: dict[str, int] = {}  # now
    durable: dict[str, int] = {}  # as of the last confirmed cut
    changelog: dict[str, int | None] = {}
    cut: list[tuple[str, int | None]] | None = None
    at_cut: dict[str, int] = {}
    for number, (what, key) in enumerate(steps):
        if what == "change":
            kept.change(key, number)
            model[key] = number
        elif what == "remove":
            kept.change(key, None)
            model.pop(key, None)
        elif what == "cut" and cut is None:
            cut, at_cut = kept.cut(), dict(model)
        elif what == "confirm" and cut is not None:
            changelog |= dict(cut)
            kept.confirm(cut)
            durable, cut = at_cut, None
        elif what == "roll back":
            kept.roll_back()
            model, cut = dict(durable), None
        assert kept.values == model
    copy = tracked_values()
    for key, value in changelog.items():
        copy.restore(key, value)
    assert copy.values == durable


def test_an_older_value_behind_a_newer_one_is_passed_over_and_the_newer_written_again() -> None:
    kept = tracked_values()
    kept.restore("a", 5)
    kept.restore("a", 3)
    assert kept.values == {"a": 5}
    assert kept.is_durable("a")
    cut = kept.cut()
    assert cut == [("a", 5)]
    kept.confirm(cut)
    assert kept.cut() == []


def test_all_values_are_written_once_more_when_somebody_may_have_spoiled_one() -> None:
    kept = tracked_values()
    kept.change("a", 1)
    kept.change("b", 2)
    kept.confirm(kept.cut())
    kept.rewrite()
    kept.change("b", None)
    cut = kept.cut()
    assert dict(cut) == {"a": 1, "b": None}
    kept.confirm(cut)
    assert kept.cut() == []


def test_on_put_is_called_for_every_change_and_for_its_undoing() -> None:
    told: list[tuple[str, int | None, int | None]] = []
    kept: TrackedValues[str, int] = TrackedValues(
        lambda value: (value,), lambda *change: told.append(change)
    )
    kept.change("a", 1)
    kept.change("a", None)
    kept.roll_back()
    assert told == [("a", None, 1), ("a", 1, None), ("a", None, None)]
