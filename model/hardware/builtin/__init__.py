"""The built-in platforms, as hardware files, and their names."""
