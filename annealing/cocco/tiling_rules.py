"""How the Tiling Number of a group follows from those of its layers (docs/cocco.md#tiling-rules)."""

from enum import IntEnum, StrEnum


class TilingRule(StrEnum):
    """What the Tiling Number of a group is; a layer's own number is that of `initial_lfa`.

    OUTPUT: the largest of the layers that no layer of the group reads. LARGEST: the largest of all layers. INHERIT:
    that of one of the groups from which the group was fused.
    """

    OUTPUT = "output"
    LARGEST = "largest"
    INHERIT = "inherit"


class RuleCode(IntEnum):
    """The rules as kernels know them."""

    OUTPUT = 0
    LARGEST = 1
    INHERIT = 2
