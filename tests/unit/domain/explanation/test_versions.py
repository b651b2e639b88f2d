"""Which configuration explains an event: today's, that of then, or one that is not known."""

from __future__ import annotations

from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.events.model import EventKind
from stream_app.domain.explanation.event_verdicts import TriggerResult, TriggerVerdict
from stream_app.domain.explanation.rows import joined_rows, triggers_then
from stream_app.domain.explanation.versions import Basis, TriggerVersion, TriggerVersions
from tests.unit.domain.counting.test_matching import clause, parse, trigger

OLD = parse(trigger(EventKind.HITS))
NEW = parse(trigger(EventKind.HITS, clause("attack_type", "sqli")))
RENAMED = parse(trigger(EventKind.HITS, name="another"))


def versions(*found: tuple[int, Trigger | None]) -> TriggerVersions:
    kept = TriggerVersions()
    for since_ms, one in found:
        kept.add(1, TriggerVersion(since_ms, one))
    return kept


def test_today_explains_what_came_after_the_last_change() -> None:
    kept = versions((100, OLD), (200, NEW))
    assert kept.basis(1, 250) == (Basis.TODAY, NEW)
    assert triggers_then(kept, {1: NEW}, 250) is None


def test_an_older_version_that_the_topic_holds_explains_what_came_before() -> None:
    kept = versions((100, OLD), (200, NEW))
    assert kept.basis(1, 150) == (Basis.THEN, OLD)
    assert triggers_then(kept, {1: NEW}, 150) == [OLD]


def test_a_new_name_changes_nothing_that_counts() -> None:
    assert versions((100, OLD), (200, RENAMED)).basis(1, 150) == (Basis.TODAY, RENAMED)


def test_a_version_that_was_compacted_away_is_not_known() -> None:
    assert versions((200, NEW)).basis(1, 150) == (Basis.NOT_KNOWN, NEW)
    assert triggers_then(versions((200, NEW)), {1: NEW}, 150) is None


def test_a_deleted_trigger_is_explained_as_it_was() -> None:
    kept = versions((100, OLD), (200, None))
    assert kept.basis(1, 150) == (Basis.THEN, OLD)
    (row,) = joined_rows((), [TriggerVerdict(OLD, TriggerResult.COUNTED)], kept, 150, None)
    assert (row.basis, row.today, row.changed_ms) == (Basis.THEN, None, 200)


def test_a_trigger_that_came_back_was_not_configured_in_between() -> None:
    kept = versions((100, OLD), (200, None), (300, NEW))
    assert triggers_then(kept, {1: NEW}, 250) == []
    (row,) = joined_rows([TriggerVerdict(NEW, TriggerResult.COUNTED)], (), kept, 250, None)
    assert row.verdict.result is TriggerResult.NOT_CONFIGURED
    assert row.today is not None
    assert row.today.result is TriggerResult.COUNTED


def test_one_trigger_can_be_asked_for() -> None:
    kept = versions((100, OLD))
    rows = [TriggerVerdict(OLD, TriggerResult.COUNTED)]
    assert joined_rows(rows, rows, kept, 150, 2) == []
    assert len(joined_rows(rows, rows, kept, 150, 1)) == 1
