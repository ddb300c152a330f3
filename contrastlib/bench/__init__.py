"""The table of speeds, and what it compares with."""
