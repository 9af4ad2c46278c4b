"""Execution of a schedule: its events, and tables of them."""
