"""The pipeline of both stages, the exact second stage (CP-SAT), and the bounds and proofs over every LFA."""
