"""Problems that several commands name alike, each with its next step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stream_app.domain.foreign_text.printable import value_text

#: Most prefixes of other installations that are named: a shared cluster has many.
PREFIXES_SHOWN = 5


_WITH_COMMAND = re.compile(
    r"(?P<sentence>|.*?:) ?(?P<command>(?:stream-app|export|kafka-[a-z.-]+) .+)"
)


class ProblemStep(NamedTuple):
    """A part of what to do: a command to copy, or a sentence."""

    text: str
    is_command: bool = False


@dataclass(frozen=True)
class Problem:
    """Something that needs attention, and what to do about it.

    The parts of `next_step` are separated by `; `. Each is a sentence, a command, or both with a
    colon between them.
    """

    what: str
    next_step: str

    @property
    def steps(self) -> list[ProblemStep]:
        """The sentences and the commands of `next_step`, each on its own, in their order."""
        found = []
        for part in self.next_step.split("; "):
            if (both := _WITH_COMMAND.fullmatch(part)) is None:
                found.append(ProblemStep(part))
                continue
            # Commands stand in the order in which they are run.
            if both["sentence"] not in ("", "then:"):
                found.append(ProblemStep(both["sentence"]))
            found.append(ProblemStep(both["command"], is_command=True))
        return found


def no_topics_problem(topics: Sequence[str], prefixes: Sequence[str]) -> Problem:
    """Return the problem that none of an installation's topics is there.

    Args:
        topics: their full names.
        prefixes: those that have an installation in this cluster.
    """
    what = f"none of the {len(topics)} topics is there, {topics[0]} for example"
    if not prefixes:
        return Problem(what, "is STREAM_APP_TOPIC_PREFIX right? Then: stream-app topics create")
    return Problem(
        f"{what}; {other_prefixes_text(prefixes)}",
        f"if that is meant: export STREAM_APP_TOPIC_PREFIX={prefixes[0]}; if none is: "
        "stream-app topics create",
    )


def other_prefixes_text(prefixes: Sequence[str]) -> str:
    """Return the text that other installations are in the cluster."""
    named = ", ".join(prefix or "(none)" for prefix in prefixes[:PREFIXES_SHOWN])
    if (more := len(prefixes) - PREFIXES_SHOWN) > 0:
        named += f" and {more} more"
    word = "another prefix" if len(prefixes) == 1 else "other prefixes"
    return f"the cluster has topics with {word}: {named}"


def amount(count: int, word: str, many: str = "") -> str:
    """Return a number with its word, in the plural if it is not 1."""
    return f"{count:,} {word if count == 1 else many or f'{word}s'}"


def named(kind: str, number: int, name: object) -> str:
    """Return the kind and id of an object, and its name if it has one."""
    return f"{kind} {number}" if name is None else f"{kind} {number} ({value_text(name)})"


def restoring_problem(role: str, host: str, how_far: str) -> Problem:
    """Return the problem that a worker does nothing yet, because it still restores its state."""
    return Problem(f"the {role} at {host} does nothing yet: {how_far}", wait_for(role))


def wait_for(role: str) -> str:
    """Return the next step while a worker restores; a start or a stop would begin that again."""
    return f"wait: a {role} restores its state (see WORKER)"
