"""Advice: what limits a schedule, and what a change of the hardware is worth."""
