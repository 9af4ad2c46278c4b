"""The platforms that are built in, as hardware files, and their names."""
