"""The installations of a cluster are known by their topics."""

from __future__ import annotations

from stream_app.domain.topics import Topic, prefixes_of


def test_a_prefix_is_that_of_a_whole_installation() -> None:
    whole = [f"{prefix}{topic}" for prefix in ("", "prod.", "a") for topic in Topic]
    parts = ["x.config.triggers", "x.alerts", "config.triggers.old", "__consumer_offsets"]
    assert prefixes_of([*parts, *whole]) == ["", "a", "prod."]
    assert prefixes_of(parts) == prefixes_of([]) == []
