"""Rewrites: networks made from other networks."""
