"""CP-SAT models, proofs, exact enumeration, and the pipeline that joins both stages."""
