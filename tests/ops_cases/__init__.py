"""For every function of the array namespace, by name, how Hypothesis draws its arguments."""

from tests.ops_cases import arrays, elementwise, linalg
from tests.ops_cases.arguments import CASES

__all__ = ["CASES", "arrays", "elementwise", "linalg"]
