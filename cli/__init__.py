"""Typer commands, progress and tables; no arithmetic of its own."""
