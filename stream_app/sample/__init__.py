"""Made-up events in their documented shapes, and the feed that sends them at a rate."""
