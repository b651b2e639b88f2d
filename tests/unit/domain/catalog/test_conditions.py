from __future__ import annotations

from stream_app.domain.catalog.conditions import (
    CONDITIONS,
    FILTERS,
    Family,
    Presence,
    allowed_values,
    conditions_of,
)
from stream_app.domain.events.model import COUNTING_CONDITIONS


def test_every_filter_of_a_condition_has_a_rule() -> None:
    for condition in CONDITIONS.values():
        assert set(condition.filters) <= FILTERS.keys()


def test_of_what_is_counted_only_hits_cannot_be_filtered_by_target() -> None:
    counted = conditions_of(Family.COUNTED)
    assert [name for name in counted if "target" not in CONDITIONS[name].filters] == [
        "hits_exceeded"
    ]


def test_each_kind_of_event_is_counted_by_one_condition() -> None:
    assert conditions_of(Family.COUNTED) == set(COUNTING_CONDITIONS.values())
    assert len(COUNTING_CONDITIONS) == len(set(COUNTING_CONDITIONS.values()))


def test_a_condition_of_notices_names_their_type_and_has_no_threshold() -> None:
    for row in CONDITIONS.values():
        is_noticed = row.family is Family.NOTICED
        assert bool(row.notification_type) == is_noticed
        assert (row.threshold is Presence.FORBIDDEN) == is_noticed


def test_a_mistyped_attack_type_is_met_with_the_nearest_one() -> None:
    assert allowed_values("attack_type", "sqil").endswith("did you mean sqli?")
    assert "did you mean" not in allowed_values("attack_type", "?????")
    assert "did you mean" not in allowed_values("pool", "sqli")
