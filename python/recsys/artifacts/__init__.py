"""Looking into artifacts: what a file holds, and whether it is sound."""
