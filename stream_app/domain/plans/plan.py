"""Plans: what applying a person's objects would change in the stored configuration.

Everything is decided here, from the objects and the stored records alone, before anything is
written: a plan with one problem is not carried out at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from stream_app.domain.configuration.fields import (
    flattened,
    has_description,
)
from stream_app.domain.configuration.kinds import (
    STAMPS,
    Kind,
)
from stream_app.domain.plans.keys import KeyKeeper
from stream_app.domain.plans.unsupported import (
    LeftOut,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


class Action(StrEnum):
    """What happens to a stored record."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


def _nowhere(_path: str) -> int | None:
    return None


@dataclass(frozen=True)
class FileObject:
    """An object as a person wrote it: the `number`-th (from 1) of `file`. Keys are texts.

    `is_answer` tells that it is from an answer of the API, which lists more than is used here.
    `line_of` returns the line of a path in it, if anybody knows it.
    """

    file: str
    number: int
    obj: Mapping[str, object]
    is_answer: bool = False
    line_of: Callable[[str], int | None] = field(default=_nowhere, repr=False, compare=False)

    @property
    def is_lenient(self) -> bool:
        """Tell whether it may have fields that nobody knows here: those of the API."""
        return self.is_answer or has_description(self.obj)

    def where(self, path: str) -> str:
        """Return file and line of a path, for a message."""
        line = self.line_of(path)
        return self.file if line is None else f"{self.file}: line {line}"


@dataclass(frozen=True)
class Change:
    """What is to become of one record; no `record`: it is deleted.

    `fields` says which of its fields change; `before` is the record as it is stored.
    """

    kind: Kind
    id: int
    name: str
    action: Action
    record: dict[str, object] | None = field(repr=False)
    fields: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    before: Mapping[str, object] | None = field(default=None, repr=False)

    @property
    def turns_off(self) -> bool:
        """Tell whether this takes an integration out of use that its owner had in use."""
        if self.kind is not Kind.INTEGRATION or not (self.before or {}).get("active"):
            return False
        return self.record is None or not self.record.get("active")


@dataclass(frozen=True)
class Plan:
    """The changes in the order of writing; `problems` are texts, one for each broken rule.

    `left_out` is what the objects say and this project has no use for.
    """

    changes: tuple[Change, ...]
    problems: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What the plan needs to know of the installation and of the time (Unix ms).

    `check_api` raises ConfigurationError for an address that no alert may be posted to.
    """

    now_ms: int
    allowed_periods: Collection[int]
    keeper: KeyKeeper
    check_api: Callable[[str], object]


def file_record(kind: Kind, obj: Mapping[str, object]) -> dict[str, object]:
    """Return an object of a file in the form of a record, without what our commands set."""
    record = flattened(obj)
    for name in ("kind", *STAMPS[kind]):
        record.pop(name, None)
    if kind is Kind.CLIENT and record.get("client_id") is None and "id" in record:
        record["client_id"] = record.pop("id")
    return record


def deletion(kind: Kind, number: int, record: Mapping[str, object]) -> Change:
    """Return the change that deletes a stored record."""
    return Change(kind, number, str(record.get("name") or ""), Action.DELETED, None, before=record)
