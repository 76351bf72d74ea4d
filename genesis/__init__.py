"""Genesis files, byte for byte repeatable."""
