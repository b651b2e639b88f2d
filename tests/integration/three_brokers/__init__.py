"""The whole system on a Kafka cluster of three nodes, which are killed, frozen and restarted."""
