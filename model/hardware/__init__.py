"""Hardware: platforms, the files that describe them, and the core arrays that price tiles."""
