"""Typed fields read from JSON objects, with all problems collected.

A person who applies a file wants to see all mistakes at once; a worker that reads a record only
needs to know whether there is one. So the readers of clients, triggers and integrations collect
problems in a list, and a worker raises the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stream_app.domain.catalog.numbers import MAX_INTEGER, TOO_LARGE
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import quoted

#: Shown in a message in place of a value that may be a key.
HIDDEN = "(hidden)"
#: A shorter key is not searched for in other fields, where it could stand by chance.
LEAST_KEY_CHARACTERS = 8
_MAX_SHOWN_CHARACTERS = 80
#: A wrong file may have a problem in each of its lines.
_MAX_LISTED = 100
#: Most bytes of a configured object as JSON. An alert and its deliveries repeat a trigger's texts,
#: and must fit with their state into a record of Kafka's default size (1 MiB).
MAX_OBJECT_BYTES = 128 * 1024
#: Most bytes of a client. It may be larger: an alert has only the applications its trigger names.
MAX_CLIENT_BYTES = 512 * 1024

Problems = list[InvalidObjectError]


def listed(problems: Sequence[str]) -> str:
    """Return how many problems there are, and a line for each of the first."""
    lines = [f"{len(problems):,} wrong:", *problems[:_MAX_LISTED]]
    if (more := len(problems) - _MAX_LISTED) > 0:
        lines.append(f"and {more:,} more")
    return "\n  ".join(lines)


def note_id_mismatch(key_id: int, own_id: int, problems: Problems) -> None:
    """Add a problem if a stored object's own id is not its record's key."""
    if not problems and own_id != key_id:
        problems.append(InvalidObjectError("id", own_id, f"the record's key is {key_id}"))


def hide_key(problems: Problems, key: object) -> None:
    """Remove a key from problems, which would show it if it stands in a wrong field."""
    if not isinstance(key, str) or len(key) < LEAST_KEY_CHARACTERS:
        return
    for index, problem in enumerate(problems):
        # The key's beginning is enough: a long value is shown cut.
        if key[:LEAST_KEY_CHARACTERS] in f"{problem} {quoted(problem.value)}":
            path, text = (part.replace(key, HIDDEN) for part in (problem.path, problem.problem))
            problems[index] = InvalidObjectError(path, HIDDEN, text)


class Fields:
    """The fields of one JSON object, which stands at `path` in the whole object.

    Each reader returns a value of the right type even if the field is bad. It adds the problem to
    `problems`, and nothing may be made of the values if there are any problems.
    """

    def __init__(self, obj: Mapping[str, object], problems: Problems, path: str = "") -> None:
        self.obj = obj
        self.problems = problems
        self._path = path

    def path(self, name: str) -> str:
        """Return the path of the field `name` in the whole object."""
        return f"{self._path}.{name}" if self._path else name

    def add_problem(self, name: str, value: object, text: str) -> None:
        """Add the problem that the field `name` breaks a rule."""
        if isinstance(value, str) and len(value) > _MAX_SHOWN_CHARACTERS:
            value = value[:_MAX_SHOWN_CHARACTERS] + "…"
        self.problems.append(InvalidObjectError(self.path(name), value, text))

    def _note_missing(self, name: str, wanted: str) -> bool:
        """Tell whether a field is missing, and add that as a problem."""
        if self.obj.get(name) is not None:
            return False
        self.add_problem(name, None, f"is missing: must be {wanted}")
        return True

    def integer(self, name: str, minimum: int, default: int | None = None) -> int:
        """Return an integer from `minimum` to `MAX_INTEGER`, required unless there is a default."""
        value = self.obj.get(name)
        if value is None and default is not None:
            return default
        wanted = f"an integer, {minimum} or more"
        if self._note_missing(name, wanted):
            return minimum
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            self.add_problem(name, value, f"must be {wanted}")
            return minimum
        if value > MAX_INTEGER:
            self.add_problem(name, value, TOO_LARGE)
            return minimum
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a default it is required and must not be empty."""
        value = self.obj.get(name)
        if value is None and default is not None:
            return default
        if self._note_missing(name, "a text"):
            return ""
        if not isinstance(value, str) or (default is None and not value.strip()):
            self.add_problem(
                name, value, "must be a text" + ("" if default is not None else ", not empty")
            )
            return ""
        return value

    def choice(
        self, name: str, allowed: Mapping[str, object] | tuple[str, ...], suffix: str = ""
    ) -> str:
        """Return a required text that is one of `allowed`; `suffix` ends the message."""
        value = self.obj.get(name)
        wanted = "one of " + ", ".join(allowed) + suffix
        if not self._note_missing(name, wanted) and (
            not isinstance(value, str) or value not in allowed
        ):
            self.add_problem(name, value, f"must be {wanted}")
        return value if isinstance(value, str) else ""

    def boolean(self, name: str) -> bool:
        """Return a required boolean."""
        value = self.obj.get(name)
        if not self._note_missing(name, "true or false") and not isinstance(value, bool):
            self.add_problem(name, value, "must be true or false")
        return value is True

    def items(self, name: str, *, required: bool = True, example: str = "") -> list[object]:
        """Return a list; `example` is a valid item as a person would write it."""
        value = self.obj.get(name)
        if value is None and not required:
            return []
        wanted = "a list" + (f", such as [{example}]" if example else "")
        if not self._note_missing(name, wanted) and not isinstance(value, list | tuple):
            self.add_problem(name, value, f"must be {wanted}")
        return list(value) if isinstance(value, list | tuple) else []

    def child(self, name: str, example: str, *, hidden: bool = False) -> Fields:
        """Return the fields of a required object.

        Args:
            name: of the field.
            example: a valid value as a person would write it.
            hidden: whether the value is kept out of messages.
        """
        value = self.obj.get(name)
        wanted = f"an object, such as {example}"
        if not self._note_missing(name, wanted) and not isinstance(value, Mapping):
            self.add_problem(name, HIDDEN if hidden else value, f"must be {wanted}")
        found = value if isinstance(value, Mapping) else {}
        # The fields of an object that is missing itself are not reported, too.
        problems = self.problems if isinstance(value, Mapping) else []
        return Fields(found, problems, self.path(name))

    def children(self, name: str, example: str, *, required: bool = True) -> Iterator[Fields]:
        """Yield the fields of each object in a list; `example` is a valid one of them."""
        for index, value in enumerate(self.items(name, required=required, example=example)):
            if isinstance(value, Mapping):
                yield Fields(value, self.problems, self.path(f"{name}[{index}]"))
            else:
                wanted = f"must be an object, such as {example}"
                self.add_problem(f"{name}[{index}]", value, wanted)
