"""The version of the package, for modules that the package itself imports."""

VERSION = "0.1.0"
