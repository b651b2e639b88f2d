"""Foreign text: made safe to show, and addresses and hosts in the form that is compared.

Everybody may import from here; it imports nothing of ours.
"""
