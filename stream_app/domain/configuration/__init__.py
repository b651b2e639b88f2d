"""What people configure: clients, triggers and integrations, and how they are read and checked.

Both roles and the commands import the readers of these objects. What `apply` does to the stored
objects is in `domain/plans`; nothing here counts, renders or sends.
"""
