"""Data types: the bits of an element, and how weights are stored (docs/model.md#data-types).

A tensor of n elements of b bits takes ⌈n·b / 8⌉ bytes: elements are packed, and the tensor is rounded up.
"""

import re
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from soma_cp.model.compiled import inlined
from soma_cp.model.errors import UserError, nearest_beginning_hint

if TYPE_CHECKING:  # files and options need no arrays
    from soma_cp.model.arrays import IntArray

Count = TypeVar("Count", int, "IntArray")


@inlined
def packed(elements: Count, bits: int | Count) -> Count:
    """Return the bytes of a tensor of so many elements: they are packed, and the tensor is rounded up.

    Both may be arrays.
    """
    return (elements * bits + 7) >> 3


@inlined
def scaled_up(count: Count, over: int | Count, under: int | Count) -> Count:
    """Return ⌈count · over / under⌉ without this product, which may not fit into 64 bits.

    All may be arrays.
    """
    return count // under * over + -(-(count % under * over) // under)


class DataType(NamedTuple):
    """The type of an element.

    Parameters
    ----------
    name
        Its name in files and options.
    bits
        Bits of an element.
    is_float
        Whether it has an exponent.
    """

    name: str
    bits: int
    is_float: bool = False


DATA_TYPES = (
    *(DataType(f"int{bits}", bits) for bits in (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64)),
    *(DataType(f"fp{bits}", bits, is_float=True) for bits in (4, 6, 8)),
    DataType("fp16", 16, is_float=True),
    DataType("bf16", 16, is_float=True),
    DataType("fp32", 32, is_float=True),
    DataType("fp64", 64, is_float=True),
)
"""All types; the place of a type is its code in arrays."""
TYPE_CODE = {one.name: code for code, one in enumerate(DATA_TYPES)}
"""The codes, by name."""
_BY_NAME = {one.name: one for one in DATA_TYPES}
INT8 = _BY_NAME["int8"]
"""The type of all data unless another is given."""
MOST_GROUP = 1 << 20
"""Most weights that share a scale."""
MOST_SCALE_BITS = 1024
"""Most bits of a scale, with what is stored beside it."""
RATIO_DENOMINATOR = 1_000_000
"""Ratios of compression are rounded to this many parts."""
LEAST_RATIO = 1 / RATIO_DENOMINATOR
"""The least ratio of compression."""
TYPE_NAMES = ", ".join(TYPE_CODE)
"""The names of all types, as messages list them."""
WEIGHT_EXAMPLE = "a type such as int4, fp16 or int4/128, which has a 16-bit scale for each 128 weights"
"""What stored weights may be, by examples."""
WEIGHTS_ALLOWED = (
    f"{WEIGHT_EXAMPLE}; types are {TYPE_NAMES}; a group has up to {MOST_GROUP:,} weights, and a scale up to "
    f"{MOST_SCALE_BITS:,} bits, as the 20 of int4/32:20"
)
"""What is allowed for stored weights, as messages say it."""
RATIO_ALLOWED = (
    f"a number from {LEAST_RATIO:f} to 1: bytes of weights in DRAM for each byte in the buffer, in steps of "
    f"{LEAST_RATIO:f}"
)
"""What is allowed for a ratio of compression, as messages say it."""


def data_type(name: str) -> DataType | None:
    """Return the type of that name; None if there is none."""
    return _BY_NAME.get(name)


class WeightFormat(NamedTuple):
    """How weights are stored.

    Parameters
    ----------
    type
        Of a weight.
    group
        Weights of a kernel that have one scale; 0: no scales are stored.
    scale_bits
        Bits of a scale, its zero point included; 0 if there are none.
    ratio
        Bytes in DRAM for each byte in the buffer, above 0 and at most 1: weights may be compressed in DRAM, and are
        decompressed on their way.
    """

    type: DataType = INT8
    group: int = 0
    scale_bits: int = 0
    ratio: Fraction = Fraction(1)

    @property
    def text(self) -> str:
        """Type, group and bits of a scale as files and options have them: ``int4/128:16``."""
        scales = "" if not self.group else f"/{self.group}" + (f":{self.scale_bits}" if self.scale_bits != 16 else "")
        return self.type.name + scales

    def kernel_bits(self, weights: int) -> int:
        """Return the bits of a kernel of so many weights, with its scales."""
        scales = -(-weights // self.group) * self.scale_bits if self.group else 0
        return weights * self.type.bits + scales

    def dram_bytes(self, size: int) -> int:
        """Return the bytes in DRAM of weights that take `size` bytes in the buffer."""
        return scaled_up(size, self.ratio.numerator, self.ratio.denominator)


class LayerTypes(NamedTuple):
    """The types of a layer's data.

    Parameters
    ----------
    ofmap
        Of its ofmap.
    weights
        Of its stored weights, if it has any.
    accumulators
        Of its partial sums; None: as wide as the ofmap, as the paper counts them.
    """

    ofmap: DataType = INT8
    weights: WeightFormat = WeightFormat()
    accumulators: DataType | None = None

    @property
    def sums(self) -> DataType:
        """The type of partial sums."""
        return self.ofmap if self.accumulators is None else self.accumulators

    def changed(
        self,
        weights: WeightFormat | None = None,
        activations: DataType | None = None,
        accumulators: DataType | None = None,
        weight_ratio: Fraction | None = None,
    ) -> "LayerTypes":
        """Return these types with others in their place; None leaves what is there. Other weights keep the ratio."""
        stored = self.weights if weights is None else weights._replace(ratio=self.weights.ratio)
        return LayerTypes(
            ofmap=self.ofmap if activations is None else activations,
            weights=stored if weight_ratio is None else stored._replace(ratio=weight_ratio),
            accumulators=self.accumulators if accumulators is None else accumulators,
        )


_WEIGHT_TEXT = re.compile(r"([a-z]+[0-9]+)(?:/([0-9]{1,7})(?::([0-9]{1,4}))?)?")


def weight_format(text: str) -> WeightFormat | None:
    """Return the weights that a text such as ``int4/128:16`` describes, not compressed; None if there are none."""
    found = _WEIGHT_TEXT.fullmatch(text)
    kind = data_type(found[1]) if found else None
    if found is None or kind is None:
        return None
    if found[2] is None:
        return WeightFormat(kind)
    group, scale_bits = int(found[2]), int(found[3] or 16)
    if not (1 <= group <= MOST_GROUP and 1 <= scale_bits <= MOST_SCALE_BITS):
        return None
    return WeightFormat(kind, group, scale_bits)


def data_type_of_user(said: str, text: str) -> DataType:
    """Return the type that a user names; `said` is the option or argument.

    Raises
    ------
    UserError
        If there is no such type.
    """
    found = data_type(str(text))
    if found is None:
        raise UserError(f"{said}={text} (must be one of {TYPE_NAMES}){nearest_type_hint(text)}")
    return found


def nearest_type_hint(text: object) -> str:
    """Return ``"; did you mean 'x'?"`` for the type nearest to what `text` begins with; nothing if it is one."""
    return nearest_beginning_hint(str(text), TYPE_CODE)


def weight_format_of_user(said: str, text: str) -> WeightFormat:
    """Return the weights that a user describes; `said` is the option or argument.

    Raises
    ------
    UserError
        If the text describes none.
    """
    found = weight_format(str(text))
    if found is None:
        raise UserError(f"{said}={text} (must be {WEIGHTS_ALLOWED}){nearest_type_hint(text)}")
    return found


def ratio_of_user(said: str, value: float) -> Fraction:
    """Return a ratio of compression that a user gives; `said` is the option or argument.

    Raises
    ------
    UserError
        If it is out of range.
    """
    if isinstance(value, bool | str) or not LEAST_RATIO <= value <= 1:
        raise UserError(f"{said}={value!r} (must be {RATIO_ALLOWED})")
    return rounded_ratio(value)


def rounded_ratio(value: float) -> Fraction:
    """Return a ratio from `LEAST_RATIO` to 1 as a fraction of `RATIO_DENOMINATOR` parts."""
    return Fraction(round(value * RATIO_DENOMINATOR), RATIO_DENOMINATOR)


def widest(types: "list[DataType]") -> DataType:
    """Return the type of most bits; of several, the first that is a float, else the first."""
    return max(types, key=lambda one: (one.bits, one.is_float))
