"""Objects as the product's API writes them, brought into the form that topics keep."""

from __future__ import annotations

from collections.abc import Mapping


def stored_form(obj: Mapping[str, object]) -> dict[str, object]:
    """Return an API object in the form that is stored: no wrapper, one spelling of `client_id`.

    The API wraps a trigger as `{"trigger": {...}}`; fields beside the wrapper (`client_id`, `id`)
    belong to the trigger. It writes an integration's client as `clientid`. Its answers also
    describe a trigger's condition, which is left out.
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
        _drop_additions(flat)
    return flat


def has_full_condition(obj: Mapping[str, object]) -> bool:
    """Tell whether an object is a trigger with its whole condition, as only answers have it."""
    wrapped = obj.get("trigger")
    trigger = wrapped if isinstance(wrapped, Mapping) else obj
    return isinstance(trigger.get("template"), Mapping)


def _drop_additions(trigger: dict[str, object]) -> None:
    """Remove what the API's answers add to a trigger; what stands only there is kept.

    `template` is the condition with all that it allows, and may be the only place of its id.
    `thresholds` is the threshold as a list. A list that differs from the threshold stays, so that
    the trigger's reader refuses it.
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
