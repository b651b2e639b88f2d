"""Which installations are dry runs: those that have a topic which marks them.

The mark is an empty topic that `topics create` makes first when `STREAM_APP_DRY_RUN` is on. It
stays, because a dry run must never become an installation that sends: its recorded alerts, and
events of tests, would page people. The reverse is just as wrong: a dry worker among those of a
live installation would take deliveries away from it. So a worker starts only if the setting and
the mark agree.
"""

from __future__ import annotations

from stream_app.domain.errors import TopicMismatchError
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.settings import Settings


async def is_dry_run(settings: Settings) -> bool:
    """Tell whether the installation sends nothing, by the setting or by its mark.

    Raises:
        KafkaUnreachableError: the setting is off, and no broker answers.
    """
    return settings.dry_run or await _is_marked(settings)


async def check_agreement(settings: Settings) -> None:
    """Check that the setting and the installation's mark agree.

    Raises:
        TopicMismatchError: they do not.
    """
    if settings.dry_run:
        await check_marked(settings)
    elif await _is_marked(settings):
        raise TopicMismatchError(
            f"topic {settings.names.dry_run_mark} marks this installation as a dry run, "
            "which sends nothing: set STREAM_APP_DRY_RUN=true, or STREAM_APP_TOPIC_PREFIX to the "
            "installation that is meant"
        )


async def check_marked(settings: Settings) -> None:
    """Check that the installation was made as a dry run.

    Raises:
        TopicMismatchError: it was not.
    """
    if not await _is_marked(settings):
        raise TopicMismatchError(
            f"STREAM_APP_DRY_RUN is true, and topic {settings.names.dry_run_mark} does not "
            "exist: make the topics of a dry run with `stream-app topics create` under a prefix of "
            "its own (STREAM_APP_TOPIC_PREFIX)"
        )


async def _is_marked(settings: Settings) -> bool:
    async with Admin(settings) as client:
        return bool(await partition_counts(client, [settings.names.dry_run_mark]))
