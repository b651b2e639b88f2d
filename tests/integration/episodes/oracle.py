"""An independent reading of what fired windows become: pages, notes and folded windows.

It shares no code with `stream_app`, and is as plain as can be: each attack remembers all of its
windows, and every question is answered by looking at all of them.

An *episode* is a run of fired windows of one client, trigger, revision and integration with no gap
longer than the silence after which its alert is closed, or than a day where that is off. Its alert
has the alias of its first window. With a repeat, no request follows another one of the episode by
less than that, in the windows' own times; what makes none is counted, and told by the next one.
An alert that a person sends again is told in any case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

DAY = 86_400
Window = tuple[int, int]


class Choice(NamedTuple):
    """What an integration has chosen, and its epoch."""

    episodes: bool = False
    repeat: int = 0
    close_after: int = 0
    notes: bool = True
    epoch: int = 0


class Fired(NamedTuple):
    """A record of `alerts`: a window that has fired, and for whom."""

    alert_id: str
    client: int
    trigger: int
    revision: str
    start: int
    end: int
    integrations: tuple[int, ...]
    is_redriven: bool = False


class Told(NamedTuple):
    """What a request says of the windows before it that made none: how many, and since when."""

    windows: int = 0
    since: int = 0


@dataclass
class Attack:
    """One episode, and all of its windows."""

    name: tuple[object, ...]
    close_after: int
    windows: list[Window] = field(default_factory=list)
    #: The starts of the windows that made a request.
    told: list[int] = field(default_factory=list)
    untold: int = 0

    def is_near(self, window: Window, gap: int) -> bool:
        """Tell whether a window is part of it, or follows or precedes it by no more than a gap."""
        return window[0] - self.end <= gap and self.begin - window[1] <= gap

    @property
    def begin(self) -> int:
        return min(start for start, _ in self.windows)

    @property
    def end(self) -> int:
        return max(end for _, end in self.windows)


@dataclass
class Expected:
    """What has to be on the topics, each thing once.

    The creates, the notes and the folded windows are by the id of their delivery. Each create and
    each folded window has its attack; the create of a window that is an alert of its own has none.
    """

    creates: dict[str, tuple[Attack | None, Told]] = field(default_factory=dict)
    notes: dict[str, Told] = field(default_factory=dict)
    folded: dict[str, Attack] = field(default_factory=dict)
    attacks: list[Attack] = field(default_factory=list)


def expected(fired: Iterable[tuple[Fired, Mapping[int, Choice]]]) -> Expected:
    """Return what becomes of fired windows.

    Args:
        fired: all of them in the order of the topic, each with the integrations that were
            configured at that time.
    """
    found = Expected()
    attacks: dict[tuple[object, ...], list[Attack]] = defaultdict(list)
    taken: set[tuple[str, int]] = set()
    for one, choices in fired:
        for number in one.integrations:
            choice = choices.get(number)
            if choice is None:
                continue
            delivery = f"{one.alert_id}/{number}"
            if not choice.episodes:
                found.creates[delivery] = None, Told()
                continue
            series = one.client, one.trigger, one.revision, number
            known = attacks[*series, choice.epoch]
            is_known = (one.alert_id, number) in taken
            if is_known and not one.is_redriven:
                continue
            taken.add((one.alert_id, number))
            window = one.start, one.end
            gap = max(choice.close_after or DAY, one.end - one.start)
            near = [attack for attack in known if attack.is_near(window, gap)]
            told: Told | None
            if not near:
                attack = Attack((*series, one.start), choice.close_after)
                known.append(attack)
                found.attacks.append(attack)
                told = Told()
            else:
                attack = max(near, key=lambda attack: attack.begin)
                told = Told() if is_known else _told(attack, one, choice)
            attack.windows.append(window)
            if told is None:
                attack.untold += 1
                found.folded[delivery] = attack
                continue
            if not (near and is_known):
                attack.told.append(one.start)
                attack.untold = 0
            found.creates[delivery] = attack, told
            if near and choice.notes:
                found.notes[f"{one.alert_id}:note/{number}"] = told
    return found


def _told(attack: Attack, one: Fired, choice: Choice) -> Told | None:
    """Return what a further window's request says; None: it makes none."""
    newest = max(attack.told)
    if choice.repeat and one.start < newest + choice.repeat and not one.is_redriven:
        return None
    return Told(attack.untold, newest) if attack.untold else Told()
