"""Tables that jobs read."""
