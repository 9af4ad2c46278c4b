"""Core arrays price tiles; they share one protocol, and `registry` knows them by name."""
