"""An object as a person wrote it, with its key apart from the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from stream_app.domain.configuration.api_objects import has_full_condition, stored_form
from stream_app.domain.configuration.fields import HIDDEN
from stream_app.domain.configuration.integrations import is_stored_key
from stream_app.domain.configuration.kinds import STAMPS, Kind

#: Stands for a sealed key in what `get` prints; in a file it means the key that is stored.
SEALED_MARK = "(sealed)"


def _no_line(_path: str) -> int | None:
    return None


@dataclass(frozen=True)
class FileObject:
    """The `number`-th object (from 1) of `file`.

    `key` is the key that the object held in the clear. `HIDDEN` takes its place in `obj`, so that
    nothing that shows a part of the object can show the key. `is_answer` tells that the object is
    from an answer of the API, which lists more than is used here. `line_of` returns the line of a
    path in the object, if it is known.
    """

    file: str
    number: int
    obj: Mapping[str, object]
    is_answer: bool = False
    line_of: Callable[[str], int | None] = field(default=_no_line, repr=False, compare=False)
    key: SecretStr | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Take the key out of the object."""
        wrapped = self.obj.get("trigger")
        inner = wrapped if isinstance(wrapped, Mapping) and "target" in wrapped else self.obj
        target = inner.get("target")
        token = target.get("token") if isinstance(target, Mapping) else target
        text = token.strip() if isinstance(token, str) else ""
        if text in ("", SEALED_MARK) or is_stored_key(text):
            return
        hidden = {**target, "token": HIDDEN} if isinstance(target, Mapping) else HIDDEN
        without = {**inner, "target": hidden}
        obj = without if inner is self.obj else {**self.obj, "trigger": without}
        object.__setattr__(self, "obj", obj)
        object.__setattr__(self, "key", SecretStr(text))

    @property
    def is_lenient(self) -> bool:
        """Whether it may have unknown fields, as answers of the API do."""
        return self.is_answer or has_full_condition(self.obj)

    def where(self, path: str) -> str:
        """Return the file and the line of a path, for a message."""
        line = self.line_of(path)
        return self.file if line is None else f"{self.file}:{line}"

    def about(self, path: str, kind: Kind | None, own_id: int = 0) -> str:
        """Return the beginning of a message about a path: its place, and whose it is."""
        label = f"object {self.number}"
        if kind is not None:
            label = f"{kind} {own_id}" if own_id else f"{kind}, {label}"
        return f"{self.where(path)}: {label}"

    def record(self, kind: Kind) -> dict[str, object]:
        """Return the object in the form of a record, without the fields that our commands set."""
        record = stored_form(self.obj)
        for name in ("kind", *STAMPS[kind]):
            record.pop(name, None)
        if kind is Kind.CLIENT and record.get("client_id") is None and "id" in record:
            record["client_id"] = record.pop("id")
        return record
