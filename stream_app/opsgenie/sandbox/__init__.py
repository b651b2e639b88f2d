"""A server on loopback that plays Opsgenie and JSM Operations, and fails on demand.

The commands `sandbox` and `demo` and the tests start `server.py`. No worker imports from here.
"""
