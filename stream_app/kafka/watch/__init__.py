"""What a running worker keeps an eye on: lag, standstill, its topics, and withheld records.

The worker's health and its metrics import from here. It changes nothing and reads no records.
"""
