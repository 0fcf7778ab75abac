"""Measuring a split with trained weights: for validation, test, evaluate and predict alike."""
