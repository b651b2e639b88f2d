"""A changelog with more partitions than its topic: what helps, and what would only seem to."""

from __future__ import annotations

import pytest

from stream_app.domain.topics import FIXED_TOPICS, Role, Topic
from stream_app.kafka.state.state_problems import TABLES, _misfit, source_of
from stream_app.kafka.state.topic_partitions import changelog_grown
from stream_app.settings import Settings


@pytest.mark.parametrize(
    ("role", "table", "topic"),
    [(role, table, topic) for role, tables in TABLES.items() for table, topic in tables.items()],
)
def test_a_topic_that_must_not_grow_is_not_to_follow_its_changelog(
    role: Role, table: str, topic: Topic
) -> None:
    settings = Settings(topic_prefix="p.", kafka={"bootstrap_servers": "localhost:9092"})
    changelog = f"p.stream-app-{role}-{table}-changelog"
    source = source_of(settings, role, changelog)
    assert source == f"p.{topic}"
    may_grow = topic not in FIXED_TOPICS
    told = changelog_grown(settings, role, changelog, 5, [source], 3)
    assert (f"Give {source} 5 partitions" in told) is may_grow
    assert f"state reset {role} --yes" in told
    _, remedy = _misfit(settings, role, changelog, topic, {source: 3, changelog: 5})
    assert (remedy is not None) is may_grow
