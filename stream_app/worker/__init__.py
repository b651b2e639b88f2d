"""One process of one role: it starts, reports its health and metrics, and ends within a deadline.

`stream-app worker` imports from here. A role is only an app to start here (`roles.py`).
"""
