"""The exceptions of stream_app.

    StreamAppError                     exit code 1
      x UsageError                     exit code 2
      x ConfigurationError             exit code 3
        - InvalidObjectError           a client, trigger or integration that breaks its rules
          - UnknownFieldError          a field in a person's file that nobody knows
        - TopicMismatchError           a topic that is missing or does not fit the state
        - UnreadableStateError         a changelog that this version cannot make a state of
      x WithheldError                  exit code 1: it is written, and nobody can see it yet
      x KafkaUnreachableError          exit code 4
      x EmbeddedKafkaError             exit code 1
      x SealingError                   exit code 3: a key that cannot be sealed or opened
        - NoRoomError                  its file cannot be opened now: no handle or memory is left
    RejectedEventError                 a bad record or event: it goes to the dead letters

Every message names the thing, its value and the next step. No message holds a key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from stream_app.domain.foreign_text.printable import quoted


class StreamAppError(Exception):
    """Base of all errors that end a command; `exit_code` is the command's."""

    exit_code: ClassVar[int] = 1


class UsageError(StreamAppError):
    """The command was called with values that do not go together."""

    exit_code = 2


class ConfigurationError(StreamAppError):
    """A setting, a file or a topic is not as it must be."""

    exit_code = 3


class InvalidObjectError(ConfigurationError):
    """A client, trigger or integration breaks a rule.

    `path` is where in the object (`filters[0].operator`), `value` what stands there. It is not
    shown where nothing stands, or where `problem` tells it (`is_told`).
    """

    def __init__(self, path: str, value: object, problem: str, *, is_told: bool = False) -> None:
        is_missing = value is None and problem.startswith("is missing")
        shown = "" if is_told or is_missing else f": {quoted(value)}"
        super().__init__(f"{path}{shown}: {problem}")
        self.path = path
        self.value = value
        self.problem = problem


class UnknownFieldError(InvalidObjectError):
    """An object has a field that nobody knows; what stands in it may be a key, and is not shown."""

    def __init__(self, path: str, hint: str) -> None:
        super().__init__(path, None, f"is no field here: {hint}")

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class TopicMismatchError(ConfigurationError):
    """A topic is missing, or its partitions or offsets do not fit the state kept of it."""


class UnreadableStateError(ConfigurationError):
    """A changelog has a record that cannot be read, or has lost some: no state comes of it."""


class SealingError(ConfigurationError):
    """An API key cannot be sealed or opened with the secret keys at hand."""


class NoRoomError(SealingError):
    """The file of an API key cannot be opened now, and could be with another load."""


class WithheldError(StreamAppError):
    """A record that is written is hidden by a transaction that stays open."""


class KafkaUnreachableError(StreamAppError):
    """No broker answers at the given address."""

    exit_code = 4


class EmbeddedKafkaError(StreamAppError):
    """The embedded Kafka cannot be resolved, started or stopped."""


class DeadLetterReason(StrEnum):
    """Why a record is a dead letter: a closed list, the `reason` label of the metric."""

    UNDECODABLE = "undecodable"
    WRONG_TYPE = "wrong_type"
    MISSING_CLIENT = "missing_client"
    MISSING_TIME = "missing_time"
    FUTURE_TIMESTAMP = "future_timestamp"
    UNKNOWN_CLIENT = "unknown_client"
    WRONG_TOPIC = "wrong_topic"
    EXHAUSTED = "exhausted"
    STALE = "stale"
    UNKNOWN_INTEGRATION = "unknown_integration"
    TOO_LARGE = "too_large"
    UNREAD = "unread"
    UNREADABLE_BATCH = "unreadable_batch"
    OVERFLOW = "overflow"
    INTEGRATION_DISABLED = "integration_disabled"
    INTEGRATION_DELETED = "integration_deleted"


class RejectedEventError(Exception):
    """A record or an event of it that cannot be used; its bytes go to the dead letters."""

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def error_text(error: BaseException) -> str:
    """Return the name of an error's class and its text. Some texts name the class already."""
    name, text = type(error).__name__, str(error)
    if not text:
        return name
    return text if name in text else f"{name}: {text}"
