"""Made-up events in their documented shapes, and the feed that sends them at a given rate.

Only the commands `sample` and `demo` import from here.
"""
