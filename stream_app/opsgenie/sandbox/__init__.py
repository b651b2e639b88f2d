"""A server that plays Opsgenie and JSM Operations on loopback, and fails on demand.

The command, the demo and tests import `server.py`. No worker imports from here.
"""
