"""Sweeps: many points solved by several methods, one after another, with their results in one file."""
