"""Networks: layers, what must hold between them, the same as arrays, and where they come from."""
