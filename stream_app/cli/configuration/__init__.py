"""`stream-app apply|get|delete|secrets`: configured objects, from and to files."""
