from __future__ import annotations

from stream_app.domain.conditions import CONDITIONS, FILTERS, allowed_values


def test_every_filter_of_a_condition_has_a_rule() -> None:
    for condition in CONDITIONS.values():
        assert set(condition.filters) <= FILTERS.keys()


def test_only_hits_cannot_be_filtered_by_target() -> None:
    without = [name for name, row in CONDITIONS.items() if "target" not in row.filters]
    assert without == ["hits_exceeded"]


def test_a_mistyped_attack_type_is_met_with_the_nearest_one() -> None:
    assert allowed_values("attack_type", "sqil").endswith("did you mean sqli?")
    assert "did you mean" not in allowed_values("attack_type", "?????")
    assert "did you mean" not in allowed_values("pool", "sqli")
