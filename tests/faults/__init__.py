"""Runs that are killed: the trainer as a process of its own, ended by SIGKILL at any moment."""
