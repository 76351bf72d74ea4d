"""The currency chain."""
