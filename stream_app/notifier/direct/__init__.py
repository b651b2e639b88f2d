"""What commands send without Kafka: the test of an integration, and its last message.

It never touches a topic; deliveries are sent by `sender.py`, one level up.
"""
