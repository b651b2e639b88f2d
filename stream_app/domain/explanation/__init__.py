"""Why there is an alert for an event, a notice or a window, or why there is none.

Nothing here has rules of its own: an event is counted once more by `domain/counting`, a notice is
matched once more by `domain/notices`, and what these refuse is explained by the filters and rules
that they have used. `kafka/explanation` reads what is needed for it.
"""
