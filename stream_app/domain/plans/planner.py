"""The decision of `apply`: what becomes of each object that a person wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import orjson

from stream_app.domain.configuration.client_names import normal_name
from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.fields import (
    HIDDEN,
    MAX_CLIENT_BYTES,
    MAX_OBJECT_BYTES,
    Problems,
    changed_fields,
    hide_key,
)
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.invisible_characters import note_invisible, trimmed
from stream_app.domain.configuration.kinds import STAMPS, Kind, Stored, kind_of
from stream_app.domain.configuration.known_fields import (
    hint_of_no_kind,
    known_part,
    note_unknown_fields,
)
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.errors import ConfigurationError, InvalidObjectError
from stream_app.domain.plans.hints import with_hints
from stream_app.domain.plans.keys import clear_key, stored_form
from stream_app.domain.plans.missing_fields import named
from stream_app.domain.plans.plan import (
    Action,
    Change,
    FileObject,
    Plan,
    Rules,
    deletion,
    file_record,
)
from stream_app.domain.plans.references import KnownIntegrations, place_of
from stream_app.domain.plans.stamps import integration_stamps, trigger_stamps
from stream_app.domain.plans.unsupported import (
    LeftOut,
    OtherIntegrations,
    unknown_attack_type,
    unknown_condition,
    without_other_events,
)
from stream_app.domain.text.printable import quoted


def make_plan(
    objects: Iterable[FileObject],
    stored: Stored,
    rules: Rules,
    *,
    prune: bool = False,
    only_client: int | None = None,
) -> Plan:
    """Compare the objects with the stored records.

    With `only_client` everything in the files must be that client's, what is left out, too.

    With `prune` the plan deletes triggers and integrations that the files don't hold: of the
    kinds that occur in the files, and of the clients that these mention. Clients stay.
    """
    planner = _Planner(stored, rules, only_client)
    for item in objects:
        planner.add(item)
    deletions = planner.deletions() if prune else []
    planner.check_references({change.id for change in deletions if change.kind is Kind.INTEGRATION})
    order = list(Kind)
    changes = sorted(planner.changes, key=lambda change: (order.index(change.kind), change.id))
    problems, left_out = tuple(planner.problem_texts()), tuple(planner.left_out)
    return Plan((*changes, *deletions), problems, left_out)


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
    def __init__(self, stored: Stored, rules: Rules, only_client: int | None) -> None:
        self._only_client = only_client
        self.changes: list[Change] = []
        self.left_out: list[LeftOut] = []
        self._stored = stored
        self._rules = rules
        #: In the order of the files; a text stands for an object that is of no kind.
        self._entries: list[_Item | str] = []
        self._seen: dict[tuple[Kind, int], FileObject] = {}
        self._others = OtherIntegrations()
        #: Kinds and clients of the objects that are left out.
        self._left: set[tuple[Kind, object]] = set()

    def add(self, source: FileObject) -> None:
        """Judge one object by itself, and note what it would change."""
        kind = kind_of(source.obj)
        if kind is None:
            self._entries.append(
                f"{source.where('kind')}: object {source.number}: kind: "
                f"{quoted(source.obj.get('kind'))}: must be "
                f"client, integration or trigger{hint_of_no_kind(source.obj)}"
            )
            return
        record = file_record(kind, source.obj)
        raw_id = record.get("client_id" if kind is Kind.CLIENT else "id")
        object_id = raw_id if isinstance(raw_id, int) and not isinstance(raw_id, bool) else 0
        if self._is_foreign(source, kind, object_id, record.get("client_id")):
            return
        previous = self._stored[kind].get(object_id)
        if previous is None and self._leaves_out(kind, record, is_answer=source.is_answer):
            return
        record = trimmed(named(kind, record))
        problems: Problems = []
        left_out: tuple[str, ...] = ()
        given = record
        note_unknown_fields(kind, record, problems, is_lenient=source.is_lenient)
        if kind is Kind.INTEGRATION:
            record, left_out = stored_form(record, previous, self._rules.keeper, problems)
        record = known_part(kind, record)
        client_id, integration_ids = self._read(kind, record, problems)
        note_invisible(record, problems)
        if kind is Kind.INTEGRATION:
            is_answer = source.is_answer
            record, events = without_other_events(record, problems, is_answer=is_answer)
            self.left_out += events
        with_hints(kind, problems)
        hide_key(problems, clear_key(given))
        size = len(orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS))
        most = MAX_CLIENT_BYTES if kind is Kind.CLIENT else MAX_OBJECT_BYTES
        if size > most:
            wanted = f"must be at most {most} as JSON: shorten its texts"
            problems.append(InvalidObjectError("bytes", size, wanted))
        item = _Item(source, kind, object_id, client_id, integration_ids, problems)
        if object_id and (first := self._seen.setdefault((kind, object_id), source)) is not source:
            item.problem("id", object_id, f"stands twice: {first.file}, object {first.number}, too")
        self._entries.append(item)
        self.changes.append(self._change(kind, object_id, record, previous, left_out))

    def _is_foreign(
        self, source: FileObject, kind: Kind, object_id: int, client_id: object
    ) -> bool:
        """Refuse an object that is not of the one client that the files are to be of."""
        only = self._only_client
        if only is None or client_id == only:
            return False
        whose = "does not say whose it is" if client_id is None else f"is of client {client_id}"
        self._entries.append(
            f"{source.where('client_id')}: {kind}[{object_id or f'#{source.number}'}].client_id: "
            f"{whose}: --only-client {only} takes nothing but that client's"
        )
        return True

    def _leaves_out(self, kind: Kind, record: Mapping[str, object], *, is_answer: bool) -> bool:
        """Leave an object out, and note it, if it is one that this project has no use for."""
        found: LeftOut | None = None
        if kind is Kind.INTEGRATION:
            found = self._others.take(record, is_answer=is_answer)
        elif kind is Kind.TRIGGER and is_answer:
            found = unknown_condition(record) or unknown_attack_type(record)
        if found is None:
            return False
        self.left_out.append(found)
        self._left.add((kind, record.get("client_id")))
        return True

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
                problems.append(InvalidObjectError("target.api", HIDDEN, text, is_told=True))
        return integration.client_id, ()

    def _change(
        self,
        kind: Kind,
        object_id: int,
        record: dict[str, object],
        previous: dict[str, object] | None,
        left_out: tuple[str, ...],
    ) -> Change:
        before = {n: v for n, v in (previous or {}).items() if n not in STAMPS[kind]}
        fields = tuple(changed_fields(before, record)) if previous is not None else ()
        action = (
            Action.CREATED if previous is None else Action.UPDATED if fields else Action.UNCHANGED
        )
        stamps: dict[str, object] = {}
        if previous is not None and action is Action.UNCHANGED:
            stamps = {name: previous[name] for name in STAMPS[kind] if name in previous}
        elif kind is Kind.INTEGRATION:
            rules = self._rules
            stamps = integration_stamps(previous, record, rules.keeper, rules.now_ms)
        elif kind is Kind.TRIGGER:
            stamps = trigger_stamps(previous, record, self._rules.now_ms)
        name = str(record.get("name") or "")
        return Change(
            kind, object_id, name, action, {**record, **stamps}, fields, left_out, previous
        )

    def deletions(self) -> list[Change]:
        """Return what the files don't hold, triggers first: what they name goes after them."""
        items = [entry for entry in self._entries if isinstance(entry, _Item)]
        clients = {item.client_id for item in items}
        kinds = {item.kind for item in items} | {kind for kind, _ in self._left}
        clients |= {client for _, client in self._left if isinstance(client, int)}
        return [
            deletion(kind, number, record)
            for kind in (Kind.TRIGGER, Kind.INTEGRATION)
            if kind in kinds
            for number, record in sorted(self._stored[kind].items())
            if record.get("client_id") in clients and (kind, number) not in self._seen
        ]

    def check_references(self, pruned: Collection[int]) -> None:
        """Judge what the objects say of each other and of the stored records."""
        items = [entry for entry in self._entries if isinstance(entry, _Item)]
        clients = {i.id for i in items if i.kind is Kind.CLIENT}
        clients |= self._stored[Kind.CLIENT].keys()
        owners: dict[int, object] = {
            number: record.get("client_id")
            for number, record in self._stored[Kind.INTEGRATION].items()
        }
        owners |= {i.id: i.client_id for i in items if i.kind is Kind.INTEGRATION}
        known = KnownIntegrations(owners, self._others, pruned)
        self._check_names(items)
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
            self._check_named(item, known)

    def _check_names(self, items: Iterable[_Item]) -> None:
        """Judge the names of clients, as they would be: one that a client has stays its own."""
        records = self._stored[Kind.CLIENT].items()
        stored = {number: normal_name(str(record.get("name") or "")) for number, record in records}
        given = {c.id: normal_name(c.name) for c in self.changes if c.kind is Kind.CLIENT}
        sharing: dict[str, list[int]] = {}
        for number, name in (stored | given).items():
            sharing.setdefault(name, []).append(number)
        for item in items:
            name = given.get(item.id, "")
            if item.kind is not Kind.CLIENT or not name:
                continue
            holders = [number for number in sharing[name] if stored.get(number) == name]
            keeper = min(holders or sharing[name])
            if keeper != item.id:
                text = f"is the name of client {keeper}, and events name their client by it"
                item.problem("name", item.source.obj.get("name"), f"{text}: give it another")

    def _check_named(self, item: _Item, known: KnownIntegrations) -> None:
        """Judge the integrations that a trigger names."""
        kept = self._stored_names(item) if item.integration_ids else ()
        for number in item.integration_ids:
            path = place_of(item.source.obj, number)
            refusal = known.refusal(number, item.client_id, kept)
            if refusal is not None:
                item.problem(path, number, refusal)
            elif number in known.others.clients:
                self.left_out.append(known.others.not_reached(item.id, path, number))

    def _stored_names(self, item: _Item) -> tuple[int, ...]:
        """Return the integrations that the stored trigger names."""
        record = self._stored[Kind.TRIGGER].get(item.id)
        if record is None:
            return ()
        trigger, _ = read_trigger(record, allowed_periods=self._rules.allowed_periods)
        return trigger.integration_ids

    def problem_texts(self) -> Iterable[str]:
        """Yield `file: path: value: what is allowed`, in the order of the files."""
        for entry in self._entries:
            if isinstance(entry, str):
                yield entry
                continue
            label = f"{entry.kind}[{entry.id or f'#{entry.source.number}'}]"
            for problem in entry.problems:
                yield f"{entry.source.where(problem.path)}: {label}.{problem}"
