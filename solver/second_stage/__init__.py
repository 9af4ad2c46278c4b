"""Bounds and exact solutions of the second stage of one LFA."""
