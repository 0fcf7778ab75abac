"""Masks or probabilities in, numbers out: overlap, surface distance, classification, intervals, paired tests.

Distances are in the unit of the spacing that is given (millimetres), or in voxels without one. What cannot be
measured is None, never NaN. Nothing here needs torch, and scikit-learn is imported by classification only.
"""
