"""The prefixes of other installations in a cluster, for whoever has set a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream_app.domain.topics import prefixes_of
from stream_app.kafka.cluster.admin import Admin

if TYPE_CHECKING:
    from stream_app.settings import Settings


async def other_prefixes(settings: Settings) -> list[str]:
    """Return the prefixes of the installations that this user may see; it lists all topics."""
    async with Admin(settings) as client:
        found = prefixes_of(await client.list_topics())
    return [prefix for prefix in found if prefix != settings.topic_prefix]
