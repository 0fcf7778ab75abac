"""A package that adds two metrics to medtui: see the steps in CONTRIBUTING.md."""
