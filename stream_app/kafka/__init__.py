"""The Kafka edge, shared by both roles."""
