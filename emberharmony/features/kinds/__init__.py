"""The kinds of columns, a module each."""
