"""Widgets that draw a RunView; none opens a file."""
