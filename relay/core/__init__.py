"""The relay's rules, without I/O."""
