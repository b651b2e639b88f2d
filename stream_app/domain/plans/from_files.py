"""Reads the objects of files that a replay or a backtest uses in place of the configured ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream_app.domain.configuration.clients import Client, read_client
from stream_app.domain.configuration.fields import Problems, hide_key, listed
from stream_app.domain.configuration.integrations import Integration, read_integration
from stream_app.domain.configuration.kinds import Kind, kind_of
from stream_app.domain.configuration.known_fields import hint_for_unknown_kind, note_unknown_fields
from stream_app.domain.configuration.triggers import Trigger, read_trigger
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.plans.file_object import FileObject

#: Replaces a key: nothing is sent, so no key is needed.
_NO_KEY = "env:STREAM_APP_KEY_NOT_READ"


@dataclass
class FileConfiguration:
    """The objects of files, by id."""

    clients: dict[int, Client] = field(default_factory=dict)
    triggers: dict[int, Trigger] = field(default_factory=dict)
    integrations: dict[int, Integration] = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that occur in the files."""
        rows = {
            Kind.CLIENT: self.clients,
            Kind.TRIGGER: self.triggers,
            Kind.INTEGRATION: self.integrations,
        }
        return frozenset(kind for kind, found in rows.items() if found)


def read_file_configuration(
    objects: Iterable[FileObject], *, allowed_periods: Collection[int]
) -> FileConfiguration:
    """Return the objects of the files.

    Raises:
        ConfigurationError: an object breaks a rule or is there twice; all problems are named.
    """
    configuration, texts = FileConfiguration(), list[str]()
    for item in objects:
        kind = kind_of(item.obj)
        if kind is None:
            texts.append(
                f"{item.about('', None)}: must be a client, integration or trigger"
                f"{hint_for_unknown_kind(item.obj)}"
            )
            continue
        number, found, problems = _read(kind, item, allowed_periods)
        texts += [f"{item.about(problem.path, kind, number)}: {problem}" for problem in problems]
        into: dict[int, Any] = getattr(configuration, f"{kind}s")
        if number in into:
            texts.append(f"{item.about('id', kind, number)}: stands twice")
        into[number] = found
    if texts:
        raise ConfigurationError(f"the files cannot be used, {listed(texts)}")
    return configuration


def as_enabled(triggers: Mapping[int, Trigger], live: Mapping[int, Trigger]) -> dict[int, Trigger]:
    """Return triggers that were enabled when the configured triggers of the same ids were.

    That time is part of a revision, and so of an alert's id. So an unchanged trigger gives alerts
    with the same ids.
    """
    return {
        number: msgspec.structs.replace(trigger, enabled_at=live[number].enabled_at)
        if number in live
        else trigger
        for number, trigger in triggers.items()
    }


def _read(
    kind: Kind, item: FileObject, allowed_periods: Collection[int]
) -> tuple[int, Client | Trigger | Integration, Problems]:
    record = item.record(kind)
    slips: Problems = []
    note_unknown_fields(kind, record, slips, is_lenient=item.is_lenient)
    if kind is Kind.CLIENT:
        client, problems = read_client(record)
        return client.client_id, client, slips + problems
    if kind is Kind.TRIGGER:
        trigger, problems = read_trigger(record, allowed_periods=allowed_periods)
        return trigger.id, trigger, slips + problems
    target = record.get("target")
    if isinstance(target, dict):
        record["target"] = {**target, "token": _NO_KEY}
    integration, problems = read_integration(record)
    problems = slips + problems
    if item.key is not None:
        hide_key(problems, item.key.get_secret_value())
    return integration.id, integration, problems
