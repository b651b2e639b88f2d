"""The Opsgenie edge: the payload, the HTTP client, what came of a request, and a sandbox.

The notifier and the commands that test integrations import from here. It knows no topic and no
schedule: one call is one attempt.
"""
