"""Rewrites: networks made of networks."""
