"""Model-ready features from tables of any size, on NumPy, torch or MLX."""

__version__ = "0.1.0"
