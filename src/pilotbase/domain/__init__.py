"""The nouns of a pilot base and the pure decisions on them. Standard library only."""
