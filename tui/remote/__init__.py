"""Runs on other machines, over plain ssh: a mirror here, kept up to date by `medtui tail` there. No Textual."""
