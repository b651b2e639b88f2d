"""The pulse: a heartbeat that is pinged only while an event can pass the whole way.

`probe` makes the event, `rounds` decides when one is sent and when a ping is due, `attempts` finds
deliveries that nobody sends, and `note` is what a notifier writes about it all.
"""
