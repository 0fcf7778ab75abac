"""A package outside medtui that adds a loss, a network, an optimizer, a schedule and a source."""
