"""The Cocco baseline: groups of layers that are fused and tiled by a rule, under double buffering (docs/cocco.md)."""
