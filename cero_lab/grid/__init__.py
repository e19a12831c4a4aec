"""Comparisons of many trainings: starts, regimes, variants, records, and the processes that make what is missing."""
