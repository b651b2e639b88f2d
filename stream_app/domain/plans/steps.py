"""The steps that turn an object of a file into a change of the stored record, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.fields import (
    HIDDEN,
    MAX_CLIENT_BYTES,
    MAX_OBJECT_BYTES,
    Problems,
    hide_key,
)
from stream_app.domain.configuration.integrations import Integration, read_integration
from stream_app.domain.configuration.invisible_characters import note_invisible_characters, trimmed
from stream_app.domain.configuration.kinds import STAMPS, Kind
from stream_app.domain.configuration.known_fields import known_part, note_unknown_fields
from stream_app.domain.configuration.triggers import Trigger, read_trigger
from stream_app.domain.errors import ConfigurationError, InvalidObjectError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.keys import sealed_record
from stream_app.domain.plans.plan import Action, Change, PlanRules
from stream_app.domain.plans.stamps import integration_stamps, trigger_stamps
from stream_app.domain.plans.unsupported import LeftOut, without_other_events


@dataclass
class Draft:
    """A record on its way from a file to the plan; each step changes it.

    `id` is 0 if the object has no usable id. `stored` is the record that it replaces. `trigger` and
    `integration` are what was read of an object of that kind.
    """

    source: FileObject
    kind: Kind
    id: int
    record: dict[str, object]
    stored: dict[str, object] | None
    rules: PlanRules
    problems: Problems = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    key_fields: tuple[str, ...] = ()
    client_id: int = 0
    trigger: Trigger | None = None
    integration: Integration | None = None

    @property
    def integration_ids(self) -> tuple[int, ...]:
        """The integrations that a trigger names."""
        return () if self.trigger is None else self.trigger.integration_ids

    def problem(self, path: str, value: object, text: str, *, shows_value: bool = True) -> None:
        """Note that a field breaks a rule."""
        self.problems.append(InvalidObjectError(path, value, text, shows_value=shows_value))


def normalise(draft: Draft) -> None:
    """Trim names and keys; note unknown fields."""
    draft.record = trimmed(draft.record)
    lenient = draft.source.is_lenient
    note_unknown_fields(draft.kind, draft.record, draft.problems, is_lenient=lenient)


def seal(draft: Draft) -> None:
    """Put the sealed key into the record of an integration."""
    if draft.kind is Kind.INTEGRATION:
        draft.record, draft.key_fields = sealed_record(
            draft.record, draft.source.key, draft.stored, draft.rules.keeper, draft.problems
        )


def read(draft: Draft) -> None:
    """Read the record as the workers do; note what they refuse, and invisible characters."""
    draft.record = known_part(draft.kind, draft.record)
    _READERS[draft.kind](draft)
    note_invisible_characters(draft.record, draft.problems)


def _read_client(draft: Draft) -> None:
    client, problems = read_client(draft.record)
    draft.client_id = client.client_id
    draft.problems += problems


def _read_integration(draft: Draft) -> None:
    integration, problems = read_integration(draft.record)
    draft.client_id, draft.integration = integration.client_id, integration
    known = {problem.path for problem in draft.problems}
    draft.problems += [problem for problem in problems if problem.path not in known]
    _say_whose(draft)
    if integration.api:
        try:
            draft.rules.check_api(integration.api)
        except ConfigurationError as error:
            text = str(error).removeprefix("target.api: ")
            draft.problem("target.api", HIDDEN, text, shows_value=False)


def _read_trigger(draft: Draft) -> None:
    trigger, problems = read_trigger(draft.record, allowed_periods=draft.rules.allowed_periods)
    draft.client_id, draft.trigger = trigger.client_id, trigger
    draft.problems += problems
    _say_whose(draft)


def _say_whose(draft: Draft) -> None:
    """Tell what to do about a missing client, because answers of the API may not name it."""
    for index, problem in enumerate(draft.problems):
        if problem.path == "client_id" and problem.value is None:
            hint = f"write whose {draft.kind} it is, or give `stream-app apply --client ID`"
            text = f"{problem.problem}: {hint}"
            draft.problems[index] = InvalidObjectError("client_id", None, text)


_READERS: Mapping[Kind, Callable[[Draft], None]] = {
    Kind.CLIENT: _read_client,
    Kind.INTEGRATION: _read_integration,
    Kind.TRIGGER: _read_trigger,
}


def leave_out(draft: Draft) -> None:
    """Remove from an integration the events that this project has no use for."""
    if draft.kind is Kind.INTEGRATION:
        is_answer = draft.source.is_answer
        draft.record, events = without_other_events(
            draft.record, draft.problems, is_answer=is_answer
        )
        draft.left_out += events


def bound(draft: Draft) -> None:
    """Remove the key from the problems, and note a record that is too large for Kafka."""
    if draft.source.key is not None:
        hide_key(draft.problems, draft.source.key.get_secret_value())
    size = len(orjson.dumps(draft.record, option=orjson.OPT_NON_STR_KEYS))
    most = MAX_CLIENT_BYTES if draft.kind is Kind.CLIENT else MAX_OBJECT_BYTES
    if size > most:
        draft.problem("bytes", size, f"must be at most {most} as JSON: shorten its texts")


STEPS: tuple[Callable[[Draft], None], ...] = (normalise, seal, read, leave_out, bound)


def compare(draft: Draft) -> Change:
    """Return the change of the stored record."""
    kind, record, stored = draft.kind, draft.record, draft.stored
    before = {n: v for n, v in (stored or {}).items() if n not in STAMPS[kind]}
    fields = tuple(changed_fields(before, record)) if stored is not None else ()
    action = Action.CREATED if stored is None else Action.UPDATED if fields else Action.UNCHANGED
    stamps: dict[str, object] = {}
    if stored is not None and action is Action.UNCHANGED:
        stamps = {name: stored[name] for name in STAMPS[kind] if name in stored}
    elif kind is Kind.INTEGRATION:
        stamps = integration_stamps(stored, record, draft.rules.keeper, draft.rules.now_ms)
    elif kind is Kind.TRIGGER:
        stamps = trigger_stamps(stored, record, draft.rules.now_ms)
    return Change(kind, draft.id, action, {**record, **stamps}, fields, draft.key_fields, stored)


def changed_fields(
    before: Mapping[str, object], after: Mapping[str, object], path: str = ""
) -> list[str]:
    """Return the paths of the fields that differ; lists are compared as a whole."""
    found: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += changed_fields(old, new, f"{path}{name}.")
        elif old != new or (name in before) != (name in after):
            found.append(f"{path}{name}")
    return found
