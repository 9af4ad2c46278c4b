"""The built-in networks: one module for each family, and the catalogue of their names."""
