"""`stream-app replay`: recorded events are counted again, or copied."""
