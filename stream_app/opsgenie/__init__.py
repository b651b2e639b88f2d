"""Opsgenie and JSM Operations: requests, what their answers mean, and a sandbox that plays both.

The notifier sends through `destination.py` and imports nothing else from here. Another service
gets a package beside this one, whose `destination.py` has the same methods; `Destinations.open`
chooses between them. Nothing here knows a topic or a retry schedule: one call is one attempt.
"""
