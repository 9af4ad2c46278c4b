"""Networks: their layers, the rules between layers, networks as arrays, and the sources of networks."""
