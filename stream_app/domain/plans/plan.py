"""What applying a person's objects would change in the stored configuration.

A plan depends on the objects and the stored records alone. It is complete before anything is
written, and one with a problem is not carried out at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.keys import KeyKeeper
from stream_app.domain.plans.unsupported import LeftOut


class Action(StrEnum):
    """What happens to a stored record."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


@dataclass(frozen=True)
class Change:
    """The change of one stored record.

    `record` is the new record, or None if it is deleted; `before` is the stored one. `fields` are
    those that change. `key_fields` are fields of the file that look like keys, so the record does
    not have them.
    """

    kind: Kind
    id: int
    action: Action
    record: dict[str, object] | None = field(repr=False)
    fields: tuple[str, ...] = ()
    key_fields: tuple[str, ...] = ()
    before: Mapping[str, object] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The object's name; empty if it has none."""
        return str((self.record or self.before or {}).get("name") or "")

    @property
    def turns_off(self) -> bool:
        """Return whether this deletes or turns off an integration that was active."""
        if self.kind is not Kind.INTEGRATION or not (self.before or {}).get("active"):
            return False
        return self.record is None or not self.record.get("active")


@dataclass(frozen=True)
class Plan:
    """The changes in the order of writing; `problems` are texts, one for each broken rule.

    `left_out` are the parts of the objects that this project has no use for.
    """

    changes: tuple[Change, ...]
    problems: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class PlanRules:
    """The rules of the installation and the time (Unix ms) that a plan depends on.

    `check_api` raises ConfigurationError for an address that no alert may be posted to.
    """

    now_ms: int
    allowed_periods: Collection[int]
    keeper: KeyKeeper
    check_api: Callable[[str], object]


def deletion(kind: Kind, number: int, record: Mapping[str, object]) -> Change:
    """Return the change that deletes a stored record."""
    return Change(kind, number, Action.DELETED, None, before=record)
