"""`stream-app sandbox`: a local server that plays Opsgenie, and fails requests on demand.

The server is in `opsgenie/sandbox`; here are only its commands. `demo` shows alerts as `serve`
does. Nothing here reaches Kafka.
"""
