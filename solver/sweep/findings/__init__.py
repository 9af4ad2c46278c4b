"""What the rows of a sweep say: cases, ratios, surfaces, fronts, and the paper's claims beside them."""
