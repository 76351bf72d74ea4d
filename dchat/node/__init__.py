"""The shell that node processes share; no rules of either chain in here."""
