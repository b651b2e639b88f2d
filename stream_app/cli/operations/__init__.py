"""Commands that run and watch an installation: workers, topics, Kafka, `status`, `doctor`, demo."""
