"""Reading configured objects: typed fields taken from JSON, and every problem collected.

A person who applies a file wants all of its mistakes at once; a worker that reads a record only
needs to know that there is one. So the readers of clients, triggers and integrations collect
problems into a list, and `raise_first` turns the list into the error of a single record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stream_app.domain.catalog.numbers import MAX_INTEGER, TOO_LARGE
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import quoted

#: Stands in a message for a value that may be a key.
HIDDEN = "(hidden)"
#: A shorter key is not looked for in other fields: it would be found by chance.
LEAST_KEY_CHARACTERS = 8
_MAX_SHOWN = 80
#: Most bytes of a configured object as JSON. A trigger's texts stand several times in an alert and
#: its deliveries, which must fit into a record of Kafka's default size (1 MiB) with their state.
MAX_OBJECT_BYTES = 128 * 1024
#: The same of a client: of its applications an alert has only those that its trigger names.
MAX_CLIENT_BYTES = 512 * 1024

Problems = list[InvalidObjectError]


def raise_first(problems: Problems) -> None:
    """Raise the first problem, if there is one."""
    if problems:
        raise problems[0]


def note_other_id(key_id: int, own_id: int, problems: Problems) -> None:
    """Add a problem where a stored object has another id than its record's key."""
    if not problems and own_id != key_id:
        problems.append(InvalidObjectError("id", own_id, f"the record's key is {key_id}"))


def hide_key(problems: Problems, key: object) -> None:
    """Take a key out of problems: it may stand where it does not belong, and be shown there."""
    if not isinstance(key, str) or len(key) < LEAST_KEY_CHARACTERS:
        return
    for index, problem in enumerate(problems):
        # The beginning, since a long value is shown cut.
        if key[:LEAST_KEY_CHARACTERS] in f"{problem} {quoted(problem.value)}":
            path, text = (part.replace(key, HIDDEN) for part in (problem.path, problem.problem))
            problems[index] = InvalidObjectError(path, HIDDEN, text)


def flattened(obj: Mapping[str, object]) -> dict[str, object]:
    """Return an API object in the form kept on a topic: no wrapper, one spelling of `client_id`.

    The API wraps a trigger as `{"trigger": {...}}` and writes an integration's client as
    `clientid`; what stands beside the wrapper (`client_id`, `id`) belongs to the trigger.
    Its answers describe a trigger's condition beside what the trigger says of itself.
    """
    flat = dict(obj)
    wrapped = flat.get("trigger")
    if isinstance(wrapped, Mapping):
        del flat["trigger"]
        flat |= wrapped
    if "clientid" in flat:
        client_id = flat.pop("clientid")
        flat.setdefault("client_id", client_id)
    if "template_id" in flat or ("template" in flat and "actions" in flat):
        _drop_descriptions(flat)
    return flat


def has_description(obj: Mapping[str, object]) -> bool:
    """Tell whether an object is a trigger with its condition in full, as only answers have it."""
    wrapped = obj.get("trigger")
    trigger = wrapped if isinstance(wrapped, Mapping) else obj
    return isinstance(trigger.get("template"), Mapping)


def _drop_descriptions(trigger: dict[str, object]) -> None:
    """Take what the API's answers add out of a trigger, and what counts from it.

    `template` is the condition with all that it allows, and may be the only place of its id;
    `thresholds` is the threshold as a list. One that says something else stays: see `triggers`.
    """
    template = trigger.pop("template", None)
    if isinstance(template, Mapping) and trigger.get("template_id") is None:
        trigger["template_id"] = template.get("id")
    thresholds = trigger.get("thresholds")
    if not thresholds:
        trigger.pop("thresholds", None)
    elif isinstance(thresholds, list) and len(thresholds) == 1:
        if trigger.get("threshold") is None:
            trigger["threshold"] = thresholds[0]
        if _figures(thresholds[0]) == _figures(trigger["threshold"]):
            del trigger["thresholds"]


def _figures(threshold: object) -> list[object]:
    obj = threshold if isinstance(threshold, Mapping) else {}
    return [obj.get(name) for name in ("count", "period")]


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


class Fields:
    """The fields of one JSON object, at `path` within the whole.

    Each reader returns a value of the promised type even when the field is bad: the problem is
    in `problems` by then, and nothing may be built from the values while that holds any.
    """

    def __init__(self, obj: Mapping[str, object], problems: Problems, path: str = "") -> None:
        self.obj = obj
        self.problems = problems
        self._path = path

    def path(self, name: str) -> str:
        """Return where the field `name` stands in the whole object."""
        return f"{self._path}.{name}" if self._path else name

    def problem(self, name: str, value: object, text: str) -> None:
        """Note that the field `name` breaks a rule."""
        if isinstance(value, str) and len(value) > _MAX_SHOWN:
            value = value[:_MAX_SHOWN] + "…"
        self.problems.append(InvalidObjectError(self.path(name), value, text))

    def _missing(self, name: str, wanted: str) -> bool:
        if self.obj.get(name) is not None:
            return False
        self.problem(name, None, f"is missing: must be {wanted}")
        return True

    def integer(self, name: str, minimum: int, default: int | None = None) -> int:
        """Return an integer from `minimum` to `MAX_INTEGER`; without a default it is required."""
        value = self.obj.get(name)
        if value is None and default is not None:
            return default
        wanted = f"an integer, {minimum} or more"
        if self._missing(name, wanted):
            return minimum
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            self.problem(name, value, f"must be {wanted}")
            return minimum
        if value > MAX_INTEGER:
            self.problem(name, value, TOO_LARGE)
            return minimum
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a default it is required and not empty."""
        value = self.obj.get(name)
        if value is None and default is not None:
            return default
        if self._missing(name, "a text"):
            return ""
        if not isinstance(value, str) or (default is None and not value.strip()):
            self.problem(
                name, value, "must be a text" + ("" if default is not None else ", not empty")
            )
            return ""
        return value

    def choice(
        self, name: str, allowed: Mapping[str, object] | tuple[str, ...], suffix: str = ""
    ) -> str:
        """Return a required text that is one of `allowed`; `suffix` says in a message for what."""
        value = self.obj.get(name)
        wanted = "one of " + ", ".join(allowed) + suffix
        if not self._missing(name, wanted) and (not isinstance(value, str) or value not in allowed):
            self.problem(name, value, f"must be {wanted}")
        return value if isinstance(value, str) else ""

    def boolean(self, name: str) -> bool:
        """Return a required boolean."""
        value = self.obj.get(name)
        if not self._missing(name, "true or false") and not isinstance(value, bool):
            self.problem(name, value, "must be true or false")
        return value is True

    def items(self, name: str, *, required: bool = True) -> list[object]:
        """Return a list."""
        value = self.obj.get(name)
        if value is None and not required:
            return []
        if not self._missing(name, "a list") and not isinstance(value, list | tuple):
            self.problem(name, value, "must be a list")
        return list(value) if isinstance(value, list | tuple) else []

    def child(self, name: str, *, hidden: bool = False) -> Fields:
        """Return the fields of a required object; `hidden` keeps a wrong value out of messages."""
        value = self.obj.get(name)
        if not self._missing(name, "an object") and not isinstance(value, Mapping):
            self.problem(name, HIDDEN if hidden else value, "must be an object")
        found = value if isinstance(value, Mapping) else {}
        problems = self.problems if isinstance(value, Mapping) else []
        return Fields(found, problems, self.path(name))

    def children(self, name: str, *, required: bool = True) -> Iterator[Fields]:
        """Yield the fields of each object of a list."""
        for index, value in enumerate(self.items(name, required=required)):
            if isinstance(value, Mapping):
                yield Fields(value, self.problems, self.path(f"{name}[{index}]"))
            else:
                self.problem(f"{name}[{index}]", value, "must be an object")
