"""Plans: what applying a person's objects would change in the stored configuration.

Everything is decided here, from the objects and the stored records alone, before anything is
written: a plan with one problem is not carried out at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from stream_app.domain.clients import read_client
from stream_app.domain.errors import ConfigurationError, InvalidObjectError
from stream_app.domain.integrations import read_integration
from stream_app.domain.objects import HIDDEN, Problems, flattened
from stream_app.domain.plan_keys import KeyKeeper, stored_form
from stream_app.domain.triggers import read_trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


class Kind(StrEnum):
    """Kinds of configured objects, in the order in which they are written."""

    CLIENT = "client"
    INTEGRATION = "integration"
    TRIGGER = "trigger"


class Action(StrEnum):
    """What happens to a stored record."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


#: Kind -> id -> the record as it is stored, flattened.
Stored = dict[Kind, dict[int, dict[str, object]]]
#: Unix ms that `apply` sets itself; what a file says there is ignored.
STAMPS = {
    Kind.CLIENT: (),
    Kind.INTEGRATION: ("updated_at",),
    Kind.TRIGGER: ("enabled_at",),
}


@dataclass(frozen=True)
class FileObject:
    """An object as a person wrote it: the `number`-th (from 1) of `file`. Keys are texts."""

    file: str
    number: int
    obj: Mapping[str, object]


@dataclass(frozen=True)
class Change:
    """What is to become of one record. `fields` says which of its fields change."""

    kind: Kind
    id: int
    name: str
    action: Action
    record: dict[str, object] = field(repr=False)
    fields: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The changes in the order of writing; `problems` are texts, one for each broken rule."""

    changes: tuple[Change, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """What the plan needs to know of the installation and of the time (Unix ms).

    `check_api` raises ConfigurationError for an address that no alert may be posted to.
    """

    now_ms: int
    allowed_periods: Collection[int]
    keeper: KeyKeeper
    check_api: Callable[[str], object]


def kind_of(obj: Mapping[str, object]) -> Kind | None:
    """Recognise an object by `kind` or by its shape; None when it is neither."""
    if "kind" in obj:
        return next((kind for kind in Kind if kind == obj["kind"]), None)
    if "trigger" in obj or "template_id" in obj:
        return Kind.TRIGGER
    if "events" in obj and ("target" in obj or "type" in obj):
        return Kind.INTEGRATION
    if "name" in obj and "cloud" in obj and "target" not in obj:
        return Kind.CLIENT
    return None


def make_plan(objects: Iterable[FileObject], stored: Stored, rules: Rules) -> Plan:
    """Compare the objects with the stored records."""
    planner = _Planner(stored, rules)
    for item in objects:
        planner.add(item)
    planner.check_references()
    order = list(Kind)
    changes = sorted(planner.changes, key=lambda change: (order.index(change.kind), change.id))
    return Plan(tuple(changes), tuple(planner.problem_texts()))


@dataclass(frozen=True)
class _Item:
    """An object on its way into the plan, with where it stands and what is wrong with it."""

    source: FileObject
    kind: Kind
    id: int
    client_id: int
    integration_ids: tuple[int, ...]
    problems: Problems

    def problem(self, path: str, value: object, text: str) -> None:
        self.problems.append(InvalidObjectError(path, value, text))


class _Planner:
    def __init__(self, stored: Stored, rules: Rules) -> None:
        self.changes: list[Change] = []
        self._stored = stored
        self._rules = rules
        #: In the order of the files; a text stands for an object that is of no kind.
        self._entries: list[_Item | str] = []
        self._seen: dict[tuple[Kind, int], FileObject] = {}

    def add(self, source: FileObject) -> None:
        """Judge one object by itself, and note what it would change."""
        kind = kind_of(source.obj)
        if kind is None:
            self._entries.append(
                f"{source.file}: object {source.number}: kind: {source.obj.get('kind')!r}: must be "
                "client, integration or trigger"
            )
            return
        record = flattened(source.obj)
        for name in ("kind", *STAMPS[kind]):
            record.pop(name, None)
        if kind is Kind.CLIENT and record.get("client_id") is None and "id" in record:
            record["client_id"] = record.pop("id")
        raw_id = record.get("client_id" if kind is Kind.CLIENT else "id")
        object_id = raw_id if isinstance(raw_id, int) and not isinstance(raw_id, bool) else 0
        previous = self._stored[kind].get(object_id)
        problems: Problems = []
        left_out: tuple[str, ...] = ()
        if kind is Kind.INTEGRATION:
            record, left_out = stored_form(record, previous, self._rules.keeper, problems)
        client_id, integration_ids = self._read(kind, record, problems)
        item = _Item(source, kind, object_id, client_id, integration_ids, problems)
        if object_id and (first := self._seen.setdefault((kind, object_id), source)) is not source:
            item.problem("id", object_id, f"stands twice: {first.file}, object {first.number}, too")
        self._entries.append(item)
        self.changes.append(self._change(kind, object_id, record, previous, left_out))

    def _read(
        self, kind: Kind, record: Mapping[str, object], problems: Problems
    ) -> tuple[int, tuple[int, ...]]:
        """Add the problems of the object itself; return what it refers to."""
        if kind is Kind.CLIENT:
            client, found = read_client(record)
            problems += found
            return client.client_id, ()
        if kind is Kind.TRIGGER:
            trigger, found = read_trigger(record, allowed_periods=self._rules.allowed_periods)
            problems += found
            return trigger.client_id, trigger.integration_ids
        integration, found = read_integration(record)
        known = {problem.path for problem in problems}
        problems += [problem for problem in found if problem.path not in known]
        if integration.api:
            try:
                self._rules.check_api(integration.api)
            except ConfigurationError as error:
                text = str(error).removeprefix("target.api: ")
                problems.append(InvalidObjectError("target.api", HIDDEN, text))
        return integration.client_id, ()

    def _change(
        self,
        kind: Kind,
        object_id: int,
        record: dict[str, object],
        previous: dict[str, object] | None,
        left_out: tuple[str, ...],
    ) -> Change:
        stamps = {n: previous[n] for n in STAMPS[kind] if previous and n in previous}
        before = {n: v for n, v in (previous or {}).items() if n not in STAMPS[kind]}
        fields = tuple(changed_fields(before, record)) if previous is not None else ()
        action = (
            Action.CREATED if previous is None else Action.UPDATED if fields else Action.UNCHANGED
        )
        if kind is Kind.INTEGRATION and action is not Action.UNCHANGED:
            stamps["updated_at"] = self._rules.now_ms
        is_turned_on = record.get("enabled") is True and before.get("enabled") is not True
        if kind is Kind.TRIGGER and is_turned_on:
            stamps["enabled_at"] = self._rules.now_ms
        name = str(record.get("name") or "")
        return Change(kind, object_id, name, action, {**record, **stamps}, fields, left_out)

    def check_references(self) -> None:
        """Judge what the objects say of each other and of the stored records."""
        items = [entry for entry in self._entries if isinstance(entry, _Item)]
        clients = {i.id for i in items if i.kind is Kind.CLIENT}
        clients |= self._stored[Kind.CLIENT].keys()
        owners: dict[int, object] = {
            number: record.get("client_id")
            for number, record in self._stored[Kind.INTEGRATION].items()
        }
        owners |= {i.id: i.client_id for i in items if i.kind is Kind.INTEGRATION}
        for item in items:
            if item.kind is Kind.CLIENT or any(p.path == "client_id" for p in item.problems):
                continue
            if item.client_id not in clients:
                item.problem("client_id", item.client_id, "no such client: apply the client, too")
            before = self._stored[item.kind].get(item.id, {}).get("client_id", item.client_id)
            if before != item.client_id:
                item.problem(
                    "client_id", item.client_id, f"it belongs to client {before}: use a new id"
                )
            for number in item.integration_ids:
                path = "actions.params.integration_ids"
                if number not in owners:
                    item.problem(path, number, "no such integration: apply it, too")
                elif owners[number] != item.client_id:
                    item.problem(path, number, f"is not an integration of client {item.client_id}")

    def problem_texts(self) -> Iterable[str]:
        """Yield `file: path: value: what is allowed`, in the order of the files."""
        for entry in self._entries:
            if isinstance(entry, str):
                yield entry
                continue
            label = f"{entry.kind}[{entry.id or f'#{entry.source.number}'}]"
            for problem in entry.problems:
                yield f"{entry.source.file}: {label}.{problem}"


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
