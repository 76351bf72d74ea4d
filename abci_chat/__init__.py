"""The chat chain."""
