"""What open dead letters mean: which alerts reached nobody, and what could not be used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex
from stream_app.domain.dead_letters.redrive_rules import NEXT_STEPS, WORTH_REDRIVING
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.foreign_text.printable import value_text
from stream_app.domain.reports.problems import Problem, amount
from stream_app.domain.times import iso_utc
from stream_app.domain.topics import Topic

#: Most groups that are listed: each integration and each reason is one.
GROUPS_SHOWN = 20
_WORDS = {Topic.ACCOUNT: "notice", Topic.ALERTS: "record", Topic.DELIVERIES: "record"}


@dataclass(frozen=True)
class DeadLetterRow:
    """The open dead letters of a topic with one reason; if they have integrations, of one of them.

    `topic` is the source's name without the prefix; `newest_ms` is Unix ms.
    """

    topic: Topic
    reason: str
    integration_id: int | None
    integration_name: object
    count: int
    newest_ms: int

    @property
    def is_known(self) -> bool:
        """Whether the reason is one of ours, which `dlq` commands select by."""
        return self.reason in NEXT_STEPS

    @property
    def selection(self) -> str:
        """The arguments of `dlq` commands that select these dead letters."""
        which = "" if self.integration_id is None else f" --integration {self.integration_id}"
        return f"{self.topic}{which}" + (f" --reason {self.reason}" if self.is_known else "")


def dead_letter_rows(
    index: DeadLetterIndex, sources: Mapping[str, Topic], names: Mapping[int, object]
) -> list[DeadLetterRow]:
    """Group the dead letters of an index: first what reached nobody, then what was not used.

    Args:
        index: of open dead letters.
        sources: source topic of each dead-letter topic.
        names: of the configured integrations.
    """
    groups: dict[tuple[Topic, str, int | None], list[int]] = {}
    for log, entries in index.entries.items():
        for entry in entries.values():
            for number in entry.integration_ids or (None,):
                key = (sources[log.topic], entry.reason, number)
                groups.setdefault(key, []).append(entry.timestamp_ms)
    rows = [
        DeadLetterRow(topic, reason, number, names.get(number or 0), len(times), max(times))
        for (topic, reason, number), times in groups.items()
    ]
    return sorted(rows, key=lambda row: (row.integration_id is None, -row.newest_ms))


def dead_letter_problems(
    rows: Sequence[DeadLetterRow], states: Mapping[int, str], cut: Collection[Topic] = ()
) -> Iterator[Problem]:
    """Yield what needs attention.

    Args:
        rows: of `dead_letter_rows`.
        states: of the configured integrations, by id.
        cut: topics that have more than were read.
    """
    for row in rows[:GROUPS_SHOWN]:
        end = f"{value_text(row.reason)}; the newest at {iso_utc(row.newest_ms)}"
        least = "at least " if row.topic in cut else ""
        if row.integration_id is None:
            number = amount(row.count, _WORDS.get(row.topic, "event"))
            what = f"{least}{number} of {row.topic} could not be used: {end}"
        else:
            name = "" if row.integration_name is None else f" ({value_text(row.integration_name)})"
            number = amount(row.count, "alert")
            what = f"{least}{number} did not reach integration {row.integration_id}{name}: {end}"
        yield Problem(what, _step(row, states.get(row.integration_id or 0)))
    if (more := rows[GROUPS_SHOWN:]) and (letters := sum(row.count for row in more)):
        yield Problem(
            f"{amount(letters, 'dead letter')} for {len(more)} more reasons",
            "stream-app dlq list --summary",
        )


def _step(row: DeadLetterRow, state: str | None) -> str:
    """Return the commands that go on from there; each can be run as it is printed."""
    look = f"stream-app dlq list {row.selection}"
    if not row.is_known:
        return look
    reason = DeadLetterReason(row.reason)
    redrive = f"stream-app dlq redrive {row.selection}"
    dismiss = f"stream-app dlq dismiss {row.selection} --yes"
    if reason not in WORTH_REDRIVING:
        return f"{look}; have them sent anew, then: {dismiss}"
    if row.integration_id is not None and state != "active":
        enable = f"stream-app integrations enable {row.integration_id}"
        first = f"when it is mended: {enable}" if state == "disabled" else "apply the integration"
        way = "" if state == "off" else f"{first}; then: {redrive}; "
        return f"{look}; {way}if nobody wants them: {dismiss}"
    if reason is DeadLetterReason.UNKNOWN_CLIENT:
        return f"{look}; apply the client, then: {redrive}"
    if reason is DeadLetterReason.STALE:
        return f"{look}; if they still matter: {redrive}; if not: {dismiss}"
    return f"{look}; when it is mended: {redrive}"
