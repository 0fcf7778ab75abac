"""From a folder and a machine to a recipe with its reasons: what ``medtui new`` writes."""
