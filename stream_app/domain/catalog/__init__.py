"""The product's documented lists: conditions, attack types, roles, filter values, risks, addresses.

Everybody may import from here. It knows nothing of clients, triggers or events: a new condition
of triggers begins with a row in `conditions.py`.
"""
