"""Signing in to Kafka: one way for the clients of workers and of all commands.

Each new connection takes the newest certificates, password or token, so that what is renewed in
place needs no restart. A refusal becomes one sentence that names the setting. It is kept by broker
until that broker accepts a connection: a worker's health shows it, and commands end with it.

aiokafka 0.14 never signs in again on a connection (KIP-368), and brokers close connections whose
session or token has ended. `connection.py` does it.
"""
