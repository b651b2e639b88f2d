"""`stream-app replay`: recorded events once more, counted or copied."""
