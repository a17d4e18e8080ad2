"""What a run looked like, for people."""
