"""A package that adds a metric to medtui: see the steps in CONTRIBUTING.md."""
