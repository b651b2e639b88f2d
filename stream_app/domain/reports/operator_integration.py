"""Whether the operator integration can be used, and what to do if it cannot."""

from __future__ import annotations

from stream_app.domain.reports.problems import Problem

#: The setting that names it.
VARIABLE = "STREAM_APP_OPERATOR_INTEGRATION"
#: The state of an integration that can be used.
ACTIVE = "active"
_UNTOLD = (
    "the platform team is not told of integrations that the system disables, or of a pulse that "
    "stops"
)
_NOT_CONFIGURED = (
    "is not configured",
    f"configure it: stream-app apply -f …; or name another one in {VARIABLE} of every notifier",
)
_ENABLE = "stream-app integrations enable {number}"
_SEND_AGAIN = "then: stream-app dlq redrive --integration {number}"
#: State -> what is wrong, and the next step.
_PROBLEMS = {
    "invalid": ("cannot be used", "mend it: stream-app apply -f …"),
    "off": ("is turned off", _ENABLE),
    "disabled": (
        "is disabled by the system",
        f"stream-app integrations test {{number}}; then: {_ENABLE}; {_SEND_AGAIN}",
    ),
}


def end_of_operator(number: int) -> str:
    """Return what follows when the operator integration is disabled or deleted."""
    return f"integration {number} is the operator integration ({VARIABLE}): without it {_UNTOLD}"


def operator_problem(number: int, state: str | None) -> Problem | None:
    """Return why the operator integration cannot be used; None: it can.

    Args:
        number: its id.
        state: as `integrations list` shows it; None: it is not configured.
    """
    if state == ACTIVE:
        return None
    wrong, step = _NOT_CONFIGURED if state is None else _PROBLEMS[state]
    return Problem(
        f"the operator integration {number} ({VARIABLE}) {wrong}: {_UNTOLD}",
        step.format(number=number),
    )
