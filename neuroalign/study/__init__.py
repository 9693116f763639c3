"""Whole studies: the demo, and what a file is. In: paths and names. Out: results on disk."""
