"""The groups of settings: one level of environment variables each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from stream_app.domain.events.model import EventKind
from stream_app.sign_in_settings import SignInSettings

Port = Annotated[int, Field(ge=0, le=65535)]


class Group(BaseModel):
    """A level of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class KafkaSettings(Group, SignInSettings):
    """How to reach Kafka."""

    replication_factor: int = Field(
        1,
        ge=1,
        le=32767,  # Kafka's protocol has 16 bits for it
        description="Copies of each topic that `topics create` and the workers make",
    )
    session_timeout_seconds: float = Field(
        10.0, ge=6, description="A worker silent for this long loses its partitions"
    )
    fetch_max_wait_ms: int = Field(
        50, ge=1, description="How long the broker may delay a fetch while it has no records"
    )
    snapshot_interval_seconds: float = Field(
        300.0,
        gt=0,
        description="How often a worker writes the whole state of a changed partition; earlier "
        "after many changes",
    )
    fetch_max_bytes_per_partition: int = Field(
        4 * 1024 * 1024, ge=65536, description="Most bytes of one partition in one fetch"
    )


class EmbeddedSettings(Group):
    """The Kafka that the project brings itself."""

    directory: Path = Field(Path(".local/kafka"), description="Data and log of the broker")
    jars_directory: Path = Field(
        Path(".local/jars"), description="The broker's jars; several brokers can share them"
    )
    port: Port = Field(0, description="Its port on loopback; 0: a free one, kept while it runs")
    heap_mb: int = Field(512, ge=128, description="The broker's Java heap")


class HttpSettings(Group):
    """Where a worker answers `/metrics`, `/livez` and `/readyz`."""

    #: An empty one would bind all addresses.
    host: str = Field("127.0.0.1", pattern=r"^\S+$", description="Address to bind")
    port: Port | None = Field(
        None, description="Port to bind; unset: 9464 for the detector, 9465 for the notifier"
    )
    tls_certfile: Path | None = Field(
        None,
        description="Certificate (PEM, its chain may follow) for `https://`; unset: `http://`. It "
        "and its key are read again when they change",
    )
    tls_keyfile: Path | None = Field(
        None, description="Key (PEM, not encrypted) of that certificate"
    )
    token: SecretStr | None = Field(
        None,
        description="Bearer token that `/metrics` and the reasons in `/readyz` ask for; unset: "
        "none. Its file is read again when it changes",
    )


class LogSettings(Group):
    """Logs go to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level to print"
    )
    format: Literal["console", "json"] = Field("console", description="Form of a log line")


class DetectorSettings(Group):
    """Counting."""

    flush_interval_ms: int = Field(
        250,
        ge=1,
        description="Longest time between flushes while batches keep coming; "
        "4 times as long if there are fewer than 20 events for each record to write",
    )
    flush_max_events: int = Field(
        20_000,
        ge=1,
        description="Most records between flushes while batches keep coming; "
        "10 times as many if there are fewer than 20 for each record to write",
    )
    buffer_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Most bytes of one topic's fetched records that may wait",
    )
    allowed_periods: Annotated[tuple[int, ...], NoDecode] = Field(
        (1, 60, 3600, 86400), description="Periods, in seconds, that a counting trigger may have"
    )
    quiet_events: Annotated[tuple[EventKind, ...], NoDecode] = Field(
        (),
        description="Kinds of events that may stay away (`attacks`, `hits`, `incidents`, with "
        "commas): the alert rule StreamAppNoEvents is off for them",
    )

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        texts = {n: values.get(n) for n in ("allowed_periods", "quiet_events")}
        lists = {
            name: tuple(part for one in text.split(",") if (part := one.strip()))
            for name, text in texts.items()
            if isinstance(text, str)
        }
        return {**values, **lists}


class DeliverySettings(Group):
    """Posting alerts."""

    sandbox_url: str | None = Field(
        None,
        description="Base URL of a sandbox Opsgenie on loopback that integrations may name; "
        "unset: only the real hosts are allowed",
    )
    ca_file: Path | None = Field(
        None, description="CA certificates (PEM) that are trusted besides the usual ones"
    )
    proxy_url: SecretStr | None = Field(
        None,
        description="Proxy to the real hosts, `http://user:password@host:port` or `https://…`; "
        "unset: none, whatever `HTTPS_PROXY` says",
    )
    max_in_flight: int = Field(50, ge=1, description="Most requests in flight")
    max_in_flight_per_integration: int = Field(
        5, ge=1, description="Most requests in flight to one integration"
    )
    max_requests_per_second: float = Field(
        50.0, gt=0, description="Most requests per second to one integration, and most at once"
    )
    max_pending_per_integration: int = Field(
        5000,
        ge=1,
        description="Most deliveries that may wait for one integration; any more are dead letters",
    )
    connect_timeout_seconds: float = Field(5.0, gt=0, description="Longest wait for a connection")
    request_timeout_seconds: float = Field(15.0, gt=0, description="Longest wait for an answer")
    status_check_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the accepted requests whose state is asked later, besides the first "
        "one of each integration in an hour; 0: none",
    )
    retry_scale: float = Field(
        1.0, gt=0, le=1, description="Shortens all waits in tests; refused with real hosts"
    )


class JudgeSettings(Group):
    """Disabling integrations whose requests fail: 60 % of those of the last 12 hours."""

    on: Literal["exhausted", "any-failure", "never"] = Field(
        "exhausted",
        description="When the share is checked: when a delivery is given up after its last cycle "
        "and, once the 12 hours are full, after any failed request; after any failed request from "
        "the start; or never",
    )
    min_requests: int = Field(
        17, ge=1, description="Fewer requests than this in 12 hours disable nothing"
    )
