"""`stream-app validate`: which records break the contract, and where."""
