"""An embedded broker with more listeners than its plain one: TLS, passwords, tokens, rights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stream_app.kafka.embedded import broker
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.ports import HOST, free_or_new
from stream_app.kafka.embedded.process import write_properties
from stream_app.setting_groups import EmbeddedSettings
from tests.conftest import JARS

#: Every client of the plain listener may do everything; whoever signs in needs rights.
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}
_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Listener:
    """A further listener.

    Args:
        name: in capitals, such as `MUTUAL`; it differs from all protocols' names but its own.
        protocol: `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
        properties: what stands after `listener.name.<name>.` in the broker's configuration.
        host: the name that the broker gives to clients; its address is always loopback's.
    """

    name: str
    protocol: str
    properties: Mapping[str, str] = field(default_factory=dict)
    host: str = HOST


@dataclass(frozen=True)
class ListeningKafka:
    """A running broker and its addresses, by the listener's name; `PLAINTEXT` is the open one."""

    kafka: EmbeddedKafka
    addresses: Mapping[str, str]


def plain_users(users: Mapping[str, str]) -> dict[str, str]:
    """Return the properties of a listener that takes names and passwords by PLAIN."""
    named = " ".join(f'user_{name}="{word}"' for name, word in users.items())
    module = f"{_MODULES}.plain.PlainLoginModule"
    return {
        "sasl.enabled.mechanisms": "PLAIN",
        "plain.sasl.jaas.config": f"{module} required {named};",
    }


@contextlib.contextmanager
def listening_kafka(
    directory: Path, listeners: Sequence[Listener], more: Mapping[str, str] | None = None
) -> Iterator[ListeningKafka]:
    """Run a broker that has further listeners.

    Args:
        directory: of its data.
        listeners: besides the plain one.
        more: further properties of the broker, such as `AUTHORIZER`.
    """
    ports: dict[str, int] = {}

    def properties(folder: Path, port: int, controller: int, *data: str) -> Path:
        file = write_properties(folder, port, controller, *data)
        # Other brokers of this process may start meanwhile.
        if folder.resolve() == directory.resolve():
            # The broker starts again, with other ports, if another program has taken one meanwhile.
            for one in listeners:
                taken = {port, controller, *ports.values()} - {ports.get(one.name)}
                ports[one.name] = free_or_new(ports.get(one.name, 0), taken)
            file.write_text(_with_listeners(file.read_text(), listeners, ports, more or {}))
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker, "write_properties", properties)
        kafka = EmbeddedKafka(EmbeddedSettings(directory=directory, jars_directory=JARS))
        try:
            plain = kafka.start()
            addresses = {one.name: f"{one.host}:{ports[one.name]}" for one in listeners}
            yield ListeningKafka(kafka, {"PLAINTEXT": plain, **addresses})
        finally:
            kafka.stop()


def _with_listeners(
    text: str, listeners: Sequence[Listener], ports: Mapping[str, int], more: Mapping[str, str]
) -> str:
    """Return the broker's configuration with further listeners."""
    bound = "".join(f"{one.name}://{HOST}:{ports[one.name]}," for one in listeners)
    told = "".join(f"{one.name}://{one.host}:{ports[one.name]}," for one in listeners)
    text = text.replace("\nlisteners=", f"\nlisteners={bound}")
    text = text.replace("\nadvertised.listeners=", f"\nadvertised.listeners={told}")
    protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    protocols |= {one.name: one.protocol for one in listeners}
    lines = {
        "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
        **more,
    }
    for one in listeners:
        prefix = f"listener.name.{one.name.lower()}"
        lines |= {f"{prefix}.{key}": value for key, value in one.properties.items()}
    return text + "".join(f"{key}={value}\n" for key, value in lines.items())
