"""What people configure: clients, triggers and integrations, as they are read and checked.

The readers of these objects are imported by both roles and by the commands. What `apply` does to
the stored objects is in `domain/plans`; nothing here counts, renders or sends.
"""
