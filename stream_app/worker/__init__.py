"""One process of one role: it starts, reports its health and metrics, and ends within a deadline.

`stream-app worker` and the demo import from here. A role is only an app to start here.
"""
