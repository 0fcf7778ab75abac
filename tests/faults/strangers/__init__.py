"""Files that a stranger may hand over: each case builds some in a folder and returns what reads them."""

from tests.faults.strangers import data, places, recipes, runs, weights
from tests.faults.strangers.made import CASES

__all__ = ["CASES", "data", "places", "recipes", "runs", "weights"]
