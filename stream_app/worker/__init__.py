"""One process of one role: start, health, metrics, and an end within a deadline."""
