"""The documentation as tests see it: its pages, their commands, and their generated tables."""
