"""Every figure of the README and the design notes, as a command: ratios against peers, never asserted."""
