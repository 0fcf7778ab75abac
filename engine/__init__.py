"""medtui's engine: recipes in, run folders out. It never imports ``tui``."""

__version__ = "0.1.0"
