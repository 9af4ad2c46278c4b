"""What tests share: slow twins of the kernels, brute force, strategies that draw instances, cases and paths."""
