"""What builds the schemas of `schemas/`, from the structs and tables of the code."""
