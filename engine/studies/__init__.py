"""Many runs of one recipe: folds, seeds, grids and searches, what they give together, and networks that vote."""
