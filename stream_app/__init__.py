"""Turns a security cloud's events on Kafka into on-call alerts that never get lost.

The packages show the flow: `detector` counts events and fires alerts, `notifier` turns alerts
into deliveries and posts them; `domain` holds the pure rules of both, `kafka` and `opsgenie` are
the two edges, `worker` runs one role as one process, `cli` is the command.
"""

#: The project's version; the package, the chart and the image take it from here.
__version__ = "0.3.0"
