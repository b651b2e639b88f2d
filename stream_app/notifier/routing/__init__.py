"""The parts of `route`: who gets an alert, which one is too old, and what is written for it."""
