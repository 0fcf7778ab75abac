"""The commands of ``medtui``, one file each with a function ``register``; `tui.arguments` finds them here."""
