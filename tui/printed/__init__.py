"""Views that are printed, without a screen."""
