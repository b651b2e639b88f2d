"""Makes the plan of `apply`: what each object that a person wrote would change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream_app.domain.configuration.kinds import Kind, Stored, kind_of
from stream_app.domain.configuration.known_fields import hint_for_unknown_kind
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.plan import Change, Plan, PlanRules, deletion
from stream_app.domain.plans.references import check_references
from stream_app.domain.plans.silences import check_silences
from stream_app.domain.plans.steps import STEPS, Draft, compare
from stream_app.domain.plans.unsupported import (
    LeftOut,
    UnsupportedIntegrations,
    unknown_part,
)


def make_plan(
    objects: Iterable[FileObject],
    stored: Stored,
    rules: PlanRules,
    *,
    prune: bool = False,
    only_client: int | None = None,
) -> Plan:
    """Compare the objects with the stored records.

    With `only_client` all objects of the files must be of that client, even those that are left
    out.

    With `prune` the plan deletes triggers and integrations that the files don't hold, if their kind
    occurs in the files and the files mention their client. Clients are never deleted.
    """
    planner = _Planner(stored, rules, only_client)
    for source in objects:
        planner.plan_object(source)
    deletions = planner.deletions() if prune else []
    pruned = {change.id for change in deletions if change.kind is Kind.INTEGRATION}
    planner.left_out += check_references(planner.drafts, stored, planner.others, pruned)
    deleted = {(change.kind, change.id) for change in deletions}
    check_silences(planner.drafts, stored, deleted)
    order = list(Kind)
    changes = sorted(planner.changes, key=lambda change: (order.index(change.kind), change.id))
    problems, left_out = tuple(planner.problem_texts()), tuple(planner.left_out)
    return Plan((*changes, *deletions), problems, left_out)


class _Planner:
    """Plans one object after the other."""

    def __init__(self, stored: Stored, rules: PlanRules, only_client: int | None) -> None:
        self._stored = stored
        self._rules = rules
        self._only_client = only_client
        self.changes: list[Change] = []
        self.left_out: list[LeftOut] = []
        self.others = UnsupportedIntegrations()
        #: In the order of the files. A text is the problem of an object that has no draft.
        self._entries: list[Draft | str] = []
        self._first: dict[tuple[Kind, int], FileObject] = {}
        #: Kinds and clients of the objects that are left out.
        self._left: set[tuple[Kind, object]] = set()

    @property
    def drafts(self) -> list[Draft]:
        """All drafts, in the order of the files."""
        return [entry for entry in self._entries if isinstance(entry, Draft)]

    def plan_object(self, source: FileObject) -> None:
        """Check one object by itself, and note what it would change."""
        kind = kind_of(source.obj)
        if kind is None:
            self._entries.append(
                f"{source.about('kind', None)}: kind: {quoted(source.obj.get('kind'))}: must be "
                f"client, integration or trigger{hint_for_unknown_kind(source.obj)}"
            )
            return
        draft = self._draft(source, kind)
        if self._is_foreign(draft) or (draft.stored is None and self._leaves_out(draft)):
            return
        for step in STEPS:
            step(draft)
        self.left_out += draft.left_out
        if draft.id and (first := self._first.setdefault((kind, draft.id), source)) is not source:
            draft.problem("id", draft.id, f"stands twice, first in {first.where('id')}")
        self._entries.append(draft)
        self.changes.append(compare(draft))

    def _draft(self, source: FileObject, kind: Kind) -> Draft:
        record = source.record(kind)
        number = record.get("client_id" if kind is Kind.CLIENT else "id")
        own_id = number if isinstance(number, int) and not isinstance(number, bool) else 0
        return Draft(source, kind, own_id, record, self._stored[kind].get(own_id), self._rules)

    def _is_foreign(self, draft: Draft) -> bool:
        """Refuse an object of another client than `only_client`."""
        only, client_id = self._only_client, draft.record.get("client_id")
        if only is None or client_id == only:
            return False
        whose = "does not say whose it is" if client_id is None else f"is of client {client_id}"
        self._entries.append(
            f"{draft.source.about('client_id', draft.kind, draft.id)}: client_id: {whose}: "
            f"--only-client {only} takes nothing but that client's"
        )
        return True

    def _leaves_out(self, draft: Draft) -> bool:
        """Note an object that this project has no use for, and return whether it is one."""
        found: LeftOut | None = None
        record, is_answer = draft.record, draft.source.is_answer
        if draft.kind is Kind.INTEGRATION:
            found = self.others.note_if_unsupported(record, is_answer=is_answer)
        elif draft.kind is Kind.TRIGGER and is_answer:
            found = unknown_part(record)
        if found is None:
            return False
        self.left_out.append(found)
        self._left.add((draft.kind, record.get("client_id")))
        return True

    def deletions(self) -> list[Change]:
        """Return the deletions of what the files don't hold, triggers before integrations."""
        clients = {draft.client_id for draft in self.drafts}
        clients |= {client for _, client in self._left if isinstance(client, int)}
        kinds = {draft.kind for draft in self.drafts} | {kind for kind, _ in self._left}
        return [
            deletion(kind, number, record)
            for kind in (Kind.TRIGGER, Kind.INTEGRATION)
            if kind in kinds
            for number, record in sorted(self._stored[kind].items())
            if record.get("client_id") in clients and (kind, number) not in self._first
        ]

    def problem_texts(self) -> Iterator[str]:
        """Yield `file:line: object: path: value: what is allowed`, in the order of the files."""
        for entry in self._entries:
            if isinstance(entry, str):
                yield entry
                continue
            for problem in entry.problems:
                yield f"{entry.source.about(problem.path, entry.kind, entry.id)}: {problem}"
