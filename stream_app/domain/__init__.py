"""The pure rules: typed records and functions. Time is passed in; nothing here does I/O."""
