"""From a run folder to values, for figures and report."""
