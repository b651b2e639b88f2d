"""All settings: environment variables with the prefix `STREAM_APP_`, levels joined by `__`.

A command's flag overrides the environment, which overrides the default. A variable that names no
setting is an error, so that a typing mistake is noticed. A secret may stand in a file that
`<variable>_FILE` names.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stream_app.domain.catalog.numbers import MAX_INTEGER
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.topics import TopicNames
from stream_app.environment import FILE_SUFFIX, is_service_variable, secrets_in_files
from stream_app.heartbeat_settings import HeartbeatSettings, heartbeat_problem
from stream_app.setting_groups import (
    DeliverySettings,
    DetectorSettings,
    EmbeddedSettings,
    Group,
    HttpSettings,
    JudgeSettings,
    KafkaSettings,
    LogSettings,
)
from stream_app.sign_in_settings import sign_in_problem

PREFIX = "STREAM_APP_"
#: Variables that are no settings: API keys for `env:` references, and Faust's own settings.
FREE_PREFIXES = ("STREAM_APP_KEY_", "STREAM_APP_FAUST_")
#: Most settings that an error names for an unknown one.
MOST_MEANT = 3

#: A cloud, and the host of its console with a port or without.
CLOUD = re.compile(r"[A-Z0-9]{1,16}")
HOST = re.compile(r"(?=.{1,253}(:|\Z))[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*(:\d{1,5})?")


class Settings(BaseSettings):
    """All settings of the process."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_nested_max_split=1,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    detector: DetectorSettings = DetectorSettings()
    delivery: DeliverySettings = DeliverySettings()
    judge: JudgeSettings = JudgeSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()

    dry_run: bool = Field(
        False,
        description="Render and record every delivery, and send nothing to anybody; for an "
        "installation with topics and a prefix of its own",
    )
    topic_prefix: str = Field(
        "", pattern=r"^[a-z0-9.-]*$", description="Put before every topic and consumer group name"
    )
    accept_producer_time: bool = Field(
        False,
        description="Read event topics whose records have their producers' times (CreateTime); "
        "the worker's clock then bounds them",
    )
    partitions: int = Field(
        8, ge=1, le=1000, description="Partitions of the topics that `topics create` makes"
    )
    max_alert_age: int = Field(
        6 * 3600,
        ge=1,
        description="Alerts of windows or notices older than this, in seconds, are dead letters",
    )
    shutdown_timeout_seconds: float = Field(
        8.0, gt=0, description="A worker that is told to stop ends within this time"
    )
    operator_integration: int | None = Field(
        None,
        ge=1,
        le=MAX_INTEGER,
        description="Id of an integration of the platform team, which is told of each integration "
        "that the system disables, and when the heartbeat stops; unset: only the client's own "
        "other ones are told",
    )
    secret_keys: SecretStr | None = Field(
        None,
        description="Keys that seal API keys, newest first, joined by commas "
        "(`stream-app secrets generate` makes one)",
    )
    console_hosts: Annotated[dict[str, str], NoDecode] = Field(
        {},
        description="Hosts for the links in alerts, `CLOUD=host,CLOUD=host`, in place of the "
        "documented ones",
    )
    key_dir: Path | None = Field(
        None, description="Folder of API keys in files that an integration may name; unset: off"
    )

    @property
    def names(self) -> TopicNames:
        """The full names of the installation's topics and groups."""
        return TopicNames(self.topic_prefix)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the variables of settings, and secrets from their files."""
        if isinstance(env_settings, EnvSettingsSource):
            names = {variable.lower() for variable, _ in setting_fields()}
            given = {name: v for name, v in env_settings.env_vars.items() if name in names}
            files = secrets_in_files(secret_variables(), os.environ)
            env_settings.env_vars = given | {name.lower(): v for name, v in files.items()}
        return init_settings, env_settings

    @field_validator("console_hosts", mode="before")
    @classmethod
    def _split_console_hosts(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        for index, (cloud, _, host) in enumerate(pairs):
            if cloud in (name for name, _, _ in pairs[:index]):
                raise ValueError(f"{cloud} is named twice: each cloud has one host")
            if not CLOUD.fullmatch(cloud) or not HOST.fullmatch(host):
                raise ValueError(
                    f"{cloud}={host:.100} is not CLOUD=host: write the cloud as clients have it "
                    "and a host name without https:// and path, such as US=us1.my.wallarm.com"
                )
        return {cloud: host for cloud, _, host in pairs}

    @model_validator(mode="after")
    def _settings_go_together(self) -> Self:
        for problem in (
            sign_in_problem(self.kafka),
            heartbeat_problem(self.heartbeat, self.delivery, dry_run=self.dry_run),
            self._retry_scale_problem(),
        ):
            if problem is not None:
                raise ValueError(problem)
        return self

    def _retry_scale_problem(self) -> str | None:
        if self.delivery.retry_scale == 1 or self.delivery.sandbox_url is not None:
            return None
        return (
            "STREAM_APP_DELIVERY__RETRY_SCALE shortens the documented waits and is refused "
            "with real hosts: set STREAM_APP_DELIVERY__SANDBOX_URL too, or unset it"
        )


def setting_fields(
    model: type[BaseModel] = Settings, prefix: str = PREFIX
) -> Iterator[tuple[str, FieldInfo]]:
    """Yield (environment variable, field) of every setting, in order."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield from setting_fields(field.annotation, f"{variable}__")
        else:
            yield variable, field


def secret_variables() -> list[str]:
    """Return the variables of the settings that are secrets; each may stand in a file."""
    return [variable for variable, field in setting_fields() if _may_be(SecretStr, field)]


def _may_be(kind: type, field: FieldInfo) -> bool:
    return kind in (field.annotation, *get_args(field.annotation))


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigurationError: a value is not allowed, or a variable is not a setting.
    """
    names = [variable for variable, _ in setting_fields()]
    names += [f"{variable}{FILE_SUFFIX}" for variable in secret_variables()]
    for variable, value in os.environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(FREE_PREFIXES):
            continue
        if variable in names or is_service_variable(variable, value):
            continue
        meant = _meant(variable, names)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "deploy/settings.md lists them"
        raise ConfigurationError(f"{variable} is not a setting of stream-app: {hint}")
    for variable, field in setting_fields():
        # An empty path would be the working directory.
        if _may_be(Path, field) and not os.environ.get(variable, "given").strip():
            raise ConfigurationError(_empty(variable))
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors())
        raise ConfigurationError(problems) from None


def _meant(variable: str, names: Sequence[str]) -> list[str]:
    """Return the settings that an unknown name may stand for; the beginning that all share is none.

    They have a word like each word of the name; otherwise it is the one that is spelled alike.
    """
    name = variable.removeprefix(PREFIX)
    words = [word for word in name.split("_") if word]
    found = [
        known
        for known in names
        if all(difflib.get_close_matches(word, known.split("_"), 1, 0.75) for word in words)
    ]
    if words and 0 < len(found) <= MOST_MEANT:
        return difflib.get_close_matches(variable, found, 1, 0.9) or found
    whole = [known.removeprefix(PREFIX) for known in names]
    return [PREFIX + known for known in difflib.get_close_matches(name, whole, 1, 0.75)]


def _problem(item: Mapping[str, Any]) -> str:
    # The index of a list's item is not part of the setting's name.
    names = [part.upper() for part in item["loc"] if isinstance(part, str) and part]
    variable = PREFIX + "__".join(names)
    if not item["loc"]:
        return str(item["msg"]).removeprefix("Value error, ")
    if isinstance(given := item.get("input"), str) and not given.strip():
        return _empty(variable)
    if item["type"] == "value_error":
        # A sentence of our own, which shows the value where that helps.
        return f"{variable}: {str(item['msg']).removeprefix('Value error, ')}"
    # The value is not shown: somebody may have put a secret into the wrong setting.
    has_blanks = isinstance(given, str) and given != given.strip()
    hint = ": take the blanks or line breaks at its ends away" if has_blanks else ""
    return f"{variable}: {item['msg']}{hint}"


def _empty(variable: str) -> str:
    return f"{variable} is empty: give it a value, or leave the variable out"
