"""Carries out changes of the configuration, for several commands."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Sequence

from stream_app.cli.output import say
from stream_app.domain.configuration.clients import usable_client
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.configuration.statuses import IntegrationStatus, is_disabled_by_system
from stream_app.domain.errors import StreamAppError
from stream_app.domain.notices.config_changes import NoticeType
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.reports.problems import amount
from stream_app.kafka.cluster.dry_run import is_dry_run
from stream_app.kafka.configuration.records import read_stored, write_records
from stream_app.notifier.direct.last_message import (
    LastMessageResult,
    LastMessageSender,
    wants_last_message,
)
from stream_app.settings import Settings

Statuses = dict[int, "IntegrationStatus"]
LAST_MESSAGES_AT_ONCE = 10


async def carry_out(
    settings: Settings,
    changes: Iterable[Change],
    stored: Stored,
    statuses: Statuses,
    *,
    actor: str,
    notify: bool,
    enabled: Collection[int] = (),
) -> None:
    """Send the last messages, then write the records, then clear what the system kept.

    Args:
        settings: of the installation.
        changes: what is to be written; an unchanged record is not.
        stored: all records as they are.
        statuses: what the system has made of integrations.
        actor: the command, as notices show it.
        notify: whether integrations that are turned off or deleted get their last message.
        enabled: integrations that a person has enabled by name.
    """
    writes = [change for change in changes if change.action is not Action.UNCHANGED]
    if notify and any(change.turns_off for change in writes):
        # Checked before the messages, and again after them: they may take half a minute.
        await _check_unchanged(settings, writes, stored)
        if await is_dry_run(settings):
            say("dry run: no last message is sent")
        else:
            await _send_last_messages(settings, writes, stored, statuses, actor)
    if writes:
        await _check_unchanged(settings, writes, stored)
    gone = [c.id for c in writes if c.kind is Kind.INTEGRATION and c.action is Action.DELETED]
    records = [(change.kind, change.id, change.record) for change in writes]
    if records:
        await write_records(settings, records, actor=actor, cleared=(*gone, *enabled))


async def _check_unchanged(settings: Settings, writes: Sequence[Change], stored: Stored) -> None:
    """Check that no other command has written these records since they were read.

    Raises:
        StreamAppError: one has; writing whole records would undo its change.
    """
    now = await read_stored(settings)
    for change in writes:
        if now[change.kind].get(change.id) != stored[change.kind].get(change.id):
            raise StreamAppError(
                f"{change.kind} {change.id} has been changed by another command meanwhile: nothing "
                "is written; run this one again"
            )


async def _send_last_messages(
    settings: Settings,
    writes: Sequence[Change],
    stored: Stored,
    statuses: Statuses,
    actor: str,
) -> None:
    """Send the last messages of integrations that go out of use; a failure is only shown."""
    messages, slots = LastMessageSender(settings, actor), asyncio.Semaphore(LAST_MESSAGES_AT_ONCE)
    sends = []
    for change in writes:
        if not change.turns_off:
            continue
        integration, problems = read_integration(change.before or {})
        is_used = not problems and not is_disabled_by_system(integration, statuses.get(change.id))
        if not is_used or not wants_last_message(integration):
            continue
        is_deleted = change.action is Action.DELETED
        type_ = NoticeType.DELETE_INTEGRATION if is_deleted else NoticeType.DISABLE_INTEGRATION
        client = usable_client(stored[Kind.CLIENT].get(integration.client_id))
        sends.append(_one_of_several(slots, messages.send(integration, client, type_)))
    for message in await asyncio.gather(*sends):
        say(_result_line(message))


async def _one_of_several(
    slots: asyncio.Semaphore, sending: Coroutine[None, None, LastMessageResult]
) -> LastMessageResult:
    async with slots:
        return await sending


def _result_line(message: LastMessageResult) -> str:
    label = f"integration {message.integration_id}: last message"
    requests = amount(message.requests, "request")
    if not message.problem:
        return f"{label} accepted after {requests}"
    return f"{label} not accepted after {requests}: {message.problem}"
