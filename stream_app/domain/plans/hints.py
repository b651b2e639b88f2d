"""What to do about a field that an object lacks: the API adds or knows it, a file must say it."""

from __future__ import annotations

from stream_app.domain.configuration.fields import Problems
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.plans.missing_fields import FORMS


def with_hints(kind: str, problems: Problems) -> None:
    """Add the next step to problems of a trigger or an integration without id, client or name."""
    if kind not in FORMS:
        return
    default = FORMS[kind].format(user="<user>", date="<date>")
    hints = {
        "id": f"give one that no other {kind} has",
        "client_id": f"write whose {kind} it is, or give `stream-app apply --client ID`",
        "name": f"the default, `{default}`, needs created_by and created_at (Unix seconds)",
    }
    for index, problem in enumerate(problems):
        if problem.path in hints and (problem.value is None or problem.value == ""):
            text = f"{problem.problem}: {hints[problem.path]}"
            problems[index] = InvalidObjectError(problem.path, problem.value, text)
