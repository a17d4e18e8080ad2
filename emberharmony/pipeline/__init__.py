"""What happens to a chunk, and between the chunks: the job's stages as plain functions."""
