"""Core arrays: what a tile costs, behind one protocol; `registry` knows them by name."""
