"""The pulse: one notifier pings a heartbeat, only while an event can pass the whole way.

It is the owner of the partition that the deliveries of the pulse's integration are in, so the event
ends in its own `deliver` stage. `service` is the loop, in the time of `times`. `facts` reads what
the cluster tells of all workers, `report` says what has stopped the pulse, and `passing` ends a
delivery where a request would be.
"""
