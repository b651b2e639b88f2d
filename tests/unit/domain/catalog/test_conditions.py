from __future__ import annotations

from stream_app.domain.catalog.conditions import (
    CONDITIONS,
    FILTERS,
    Evaluation,
    Presence,
    bad_value_message,
)
from stream_app.domain.events.model import COUNTING_CONDITIONS
from tests.unit.domain.trigger_tables import COUNTED


def test_every_filter_of_a_condition_has_a_rule() -> None:
    for condition in CONDITIONS.values():
        assert set(condition.filters) <= FILTERS.keys()


def test_only_hits_of_the_counted_events_have_no_target_filter() -> None:
    assert [name for name in COUNTED if "target" not in CONDITIONS[name].filters] == [
        "hits_exceeded"
    ]


def test_each_kind_of_event_is_counted_by_one_condition() -> None:
    assert set(COUNTED) == set(COUNTING_CONDITIONS.values())
    assert len(COUNTING_CONDITIONS) == len(set(COUNTING_CONDITIONS.values()))


def test_a_condition_of_notices_names_their_type_and_has_no_threshold() -> None:
    for row in CONDITIONS.values():
        is_noticed = row.evaluation is Evaluation.NOTICE_MATCHING
        assert bool(row.notification_type) == is_noticed
        assert (row.threshold is Presence.FORBIDDEN) == is_noticed


def test_the_message_on_a_mistyped_attack_type_suggests_the_nearest_one() -> None:
    assert bad_value_message("attack_type", "sqil").endswith("did you mean sqli?")
    assert "did you mean" not in bad_value_message("attack_type", "?????")
    assert "did you mean" not in bad_value_message("pool", "sqli")
