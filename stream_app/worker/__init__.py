"""One process of one role: start, health, metrics, and an end within a deadline.

`stream-app worker` and the demo import from here. It knows the roles only as apps to start.
"""
