"""The operator integration: what the platform team is told, and whether it can be told."""
