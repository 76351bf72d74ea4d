"""dchat: decentralised chat; imports nothing, so that importing the kernel never loads the CLI."""

__version__ = "0.1.0"
