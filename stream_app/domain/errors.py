"""The exceptions of stream_app.

    StreamAppError                     exit code 1
      x OutputError                    exit code 1: stdout cannot be written
      x UsageError                     exit code 2
      x ConfigurationError             exit code 3
        - InvalidObjectError           a client, trigger or integration breaks a rule
          - UnknownFieldError          a person's file has a field that does not exist
        - TopicMismatchError           a topic is missing or does not fit the state
        - UnreadableStateError         this version cannot restore a state from its changelog
        - SealingError                 a key cannot be sealed or opened
          - ResourceShortageError      its file cannot be opened: no file handle or memory is left
      x TopicGrownError                exit code 1: the next start reads the new partitions
      x NewerFormatError               exit code 7: a newer version has written what is read
      x HiddenWriteError               exit code 1: a record is written, and nobody can see it yet
      x KafkaUnreachableError          exit code 4
      x KafkaRefusedError              exit code 4: a broker does not let us in, or lacks a right
      x EmbeddedKafkaError             exit code 1
    RejectedEventError                 a bad record or event, which becomes a dead letter

Every message names the thing, its value and the next step. No message contains a key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from stream_app.domain.foreign_text.printable import quoted


class StreamAppError(Exception):
    """Base of all errors that end a command; `exit_code` is the command's."""

    exit_code: ClassVar[int] = 1


class OutputError(StreamAppError):
    """What a command prints cannot be written: the disk behind stdout is full, say."""


class UsageError(StreamAppError):
    """The command was called with values that are wrong or do not go together."""

    exit_code = 2


class ConfigurationError(StreamAppError):
    """A setting, a file or a topic is not as it must be."""

    exit_code = 3


class InvalidObjectError(ConfigurationError):
    """A client, trigger or integration breaks a rule.

    Args:
        path: the place in the object, such as `filters[0].operator`.
        value: what stands there.
        problem: what is wrong with it, and what is allowed.
        shows_value: whether the message shows the value; false if `problem` or `path` does.
    """

    def __init__(self, path: str, value: object, problem: str, *, shows_value: bool = True) -> None:
        is_missing = value is None and problem.startswith("is missing")
        shown = f": {quoted(value)}" if shows_value and not is_missing else ""
        super().__init__(f"{path}{shown}: {problem}")
        self.path = path
        self.value = value
        self.problem = problem


class UnknownFieldError(InvalidObjectError):
    """An object has a field that does not exist; its value may be a key and is not shown."""

    def __init__(self, path: str, hint: str) -> None:
        super().__init__(path, None, f"is no field here: {hint}", shows_value=False)


class TopicMismatchError(ConfigurationError):
    """A topic is missing, or its partitions or offsets do not fit the stored state."""


class UnreadableStateError(ConfigurationError):
    """A changelog has lost records, or has one that cannot be read: no state can be restored."""


class SealingError(ConfigurationError):
    """An API key cannot be sealed or opened with the given secret keys."""


class ResourceShortageError(SealingError):
    """The file of an API key cannot be opened for now: file handles or memory are used up."""


class TopicGrownError(StreamAppError):
    """A topic has got more partitions than a running worker reads."""


class NewerFormatError(StreamAppError):
    """A record or a state has a format that only a newer version reads."""

    exit_code = 7


class HiddenWriteError(StreamAppError):
    """A record has been written, but an open transaction hides it from its readers."""


class KafkaUnreachableError(StreamAppError):
    """No broker answers at the given address."""

    exit_code = 4


class KafkaRefusedError(StreamAppError):
    """A broker refuses the sign-in, or what the user may not do; waiting does not help."""

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
    """A record, or one event in it, cannot be used; its bytes go to the dead letters."""

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def error_text(error: BaseException) -> str:
    """Return the class and the text of an error; some texts contain the class already."""
    name, text = type(error).__name__, str(error)
    if not text:
        return name
    return text if name in text else f"{name}: {text}"
