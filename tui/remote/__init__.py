"""Runs on other machines, over plain ssh: a mirror here that `medtui tail` at the other end keeps up. No Textual."""
