"""The networks that are built in: one module for each family, and the catalogue of their names."""
