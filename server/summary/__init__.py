"""What the commands report, as tables for a person and as one JSON document for a program."""
