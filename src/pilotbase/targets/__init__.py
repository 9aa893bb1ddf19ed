"""Ways to reach a candidate, one file each."""
