"""Figures, tables and the claims table of a sweep's rows."""
