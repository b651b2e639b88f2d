"""The demo: everything on one machine, from a Kafka of its own to alerts in a sandbox.

Its topics have a prefix of their own, so it touches nothing else on a Kafka that it is pointed
at. They stay for the next run, whose workers go on where these stopped; alerts of windows that
ended before a run began are delivered in it but not shown.

The workers and `apply` are processes: the demo shows the commands that people run, not a short
cut through them.
"""
