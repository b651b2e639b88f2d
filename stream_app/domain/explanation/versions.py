"""Which configuration was in force when: as far as the compacted topics still hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from stream_app.domain.configuration.triggers import Trigger


class Basis(StrEnum):
    """The configuration that an answer is based on; a closed list."""

    #: Today's has been in force since before the event.
    TODAY = "today"
    #: An earlier one, which its topic still holds.
    THEN = "then"
    #: Today's, though it is newer than the event: the earlier one is not known any more.
    NOT_KNOWN = "then_not_known"


@dataclass(frozen=True)
class TriggerVersion:
    """A trigger as one record says. None: the record deletes it or cannot be used."""

    since_ms: int
    trigger: Trigger | None


@dataclass
class TriggerVersions:
    """The versions of all triggers that the topic holds, each trigger's in their order."""

    by_id: dict[int, list[TriggerVersion]] = field(default_factory=dict)

    def add(self, trigger_id: int, version: TriggerVersion) -> None:
        """Add the next version of a trigger."""
        self.by_id.setdefault(trigger_id, []).append(version)

    @property
    def newest_ms(self) -> list[int]:
        """When each trigger was written last, Unix ms."""
        return [versions[-1].since_ms for versions in self.by_id.values()]

    def at(self, trigger_id: int, at_ms: int) -> TriggerVersion | None:
        """Return the version that was in force at a time; None: it is not known any more.

        A topic that is compacted keeps the newest version for certain. A trigger without an older
        one may have been another before, or may not have existed.
        """
        found = [one for one in self.by_id.get(trigger_id, ()) if one.since_ms <= at_ms]
        return found[-1] if found else None

    def newest(self, trigger_id: int) -> TriggerVersion | None:
        """Return the newest version of a trigger."""
        found = self.by_id.get(trigger_id)
        return found[-1] if found else None

    def of_client(self, client_id: int) -> set[int]:
        """Return the ids of the triggers that are or were the client's."""
        return {
            number
            for number, versions in self.by_id.items()
            if any(v.trigger is not None and v.trigger.client_id == client_id for v in versions)
        }

    def basis(self, trigger_id: int, at_ms: int) -> tuple[Basis, Trigger | None]:
        """Return the configuration to explain a time by, and the trigger in it."""
        then, newest = self.at(trigger_id, at_ms), self.newest(trigger_id)
        today = None if newest is None else newest.trigger
        if then is None:
            return Basis.NOT_KNOWN, today
        if then is newest or is_same_rule(then.trigger, today):
            return Basis.TODAY, today
        return Basis.THEN, then.trigger


def is_same_rule(one: Trigger | None, other: Trigger | None) -> bool:
    """Tell whether two versions of a trigger treat every event alike."""
    if one is None or other is None:
        return one is other
    return one.revision == other.revision and one.enabled == other.enabled
