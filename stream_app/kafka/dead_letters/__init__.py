"""Dead letters on Kafka: written, cut where their topic refuses them, read, and sent back."""
