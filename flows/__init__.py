"""What runs: the job's composition, its configuration and its console."""
