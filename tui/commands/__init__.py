"""The command line: its arguments, and one file a command."""
