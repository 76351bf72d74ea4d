"""Typed reads and writes over a draft of the currency chain's state, one file for each module."""
