"""The demo: everything on one machine, from a Kafka of its own to alerts in a sandbox.

Its topics have a prefix of their own, so it touches nothing else on a Kafka that it is given. They
stay for the next run, whose workers continue where these stopped. That run delivers alerts of
windows that ended before it began, but does not show them.

The workers and `apply` are processes of their own: the demo runs the commands that people run.
"""
