"""The schema of a schedule file (docs/file-formats.md); a field's description says what is allowed."""

from typing import Annotated, Any, NamedTuple

from pydantic import Field, create_model

from soma_cp.model.files.forms import Form, Name, whole_number
from soma_cp.model.network.network_checks import LARGEST_COUNT
from soma_cp.model.problem import MAX_BATCH
from soma_cp.model.soma.figures import Unit, file_figures
from soma_cp.model.soma.plan import MAX_TILES
from soma_cp.model.soma.tensors import KIND_NAMES

VERSION = 2
"""Version 2 has shared loads and divisions."""

_NOT_GIVEN: Any = None
Count = Annotated[int, whole_number(0, LARGEST_COUNT)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number of at least 0")]


FORMER = Field(deprecated=True)
"""A former name of a figure: it is read as ever, and messages do not offer it."""
_TYPES: dict[Unit, Any] = {
    Unit.CYCLES: Count,
    Unit.MILLISECONDS: Amount,
    Unit.PJ: Amount,
    Unit.PJ_CYCLES: Amount,
    Unit.BYTES: Count,
    Unit.AVERAGE_BYTES: Amount,
    Unit.MOVED_BYTES: Count,
    Unit.COUNT: Count,
    Unit.SHARE: Amount,
}
_CLAIMS: dict[str, Any] = {
    **{row.name: (_TYPES[row.unit], _NOT_GIVEN) for row in file_figures()},
    **{row.former: (Annotated[_TYPES[row.unit], FORMER], _NOT_GIVEN) for row in file_figures() if row.former},
    "tile_begin_cycles": (Annotated[list[Count], Field(description="a list of whole numbers")], _NOT_GIVEN),
}
FiguresForm: type[Form] = create_model("FiguresForm", __base__=Form, **_CLAIMS)
"""Figures that files claim, at the top or under `expect`."""


Bound = Annotated[int | None, Field(ge=0, le=LARGEST_COUNT, description="a whole number of at least 0, or null")]


class ScheduleFields(Form):
    """All fields but the figures; the larger parts are checked one by one."""

    version: Annotated[int, Field(ge=1, le=VERSION, description="1 or 2")] = 1
    network: Annotated[Any, Field(description="the name of a built-in network, or a network")]
    batch: Annotated[int, whole_number(1, MAX_BATCH)]
    hardware: Annotated[Any, Field(description="an object with the fields of a hardware file")]
    lfa: Annotated[Any, Field(description="an object with flgs")]
    dlsa: Annotated[Any, Field(description="an object with columns and dram_tensor_order")]
    violations: Annotated[list[Any], Field(description="a list")] = _NOT_GIVEN
    expect: Annotated[dict[str, Any], Field(description="an object with figures")] = _NOT_GIVEN
    proven_lower_bound_cycles: Bound = None
    proven_lower_bound: Annotated[Bound, FORMER] = None
    proven_optimal: Annotated[bool, Field(description="true or false")] = False
    tile_shapes: Annotated[
        dict[str, Annotated[list[Count], Field(min_length=4, max_length=4)]],
        Field(description="an object with a list for each layer: samples, channels, rows, columns"),
    ] = _NOT_GIVEN
    provenance: Annotated[dict[str, Any], Field(description="an object")] = _NOT_GIVEN


_BASES: tuple[Any, ...] = (ScheduleFields, FiguresForm)
ScheduleForm: type[ScheduleFields] = create_model("ScheduleForm", __base__=_BASES)
"""The whole file; error messages list the figures first."""


class LFAForm(Form):
    """The field `lfa` of the file."""

    flgs: Annotated[list[Any], Field(min_length=1, description="a list of FLGs, not empty")]
    shared_loads: Annotated[list[Any], Field(description="a list of objects with layer and source")] = _NOT_GIVEN
    divisions: Annotated[list[Any], Field(description="a list of objects with layer and channels")] = _NOT_GIVEN


class FLGForm(Form):
    """An item of `lfa.flgs`."""

    tiling_number: Annotated[int, whole_number(1, MAX_TILES)]
    dram_cut: Annotated[bool, Field(description="true or false")]
    layers: Annotated[list[Name], Field(min_length=1, description="a list of names of layers, not empty")]


class SharedLoadForm(Form):
    """An item of `lfa.shared_loads`."""

    layer: Name
    source: Annotated[str, Field(description="the name of what it reads, empty for its weights")]


class DivisionForm(Form):
    """An item of `lfa.divisions`."""

    layer: Name
    channels: Annotated[
        list[Annotated[int, whole_number(1, LARGEST_COUNT)]],
        Field(min_length=2, description="a list of two or more whole numbers of at least 1"),
    ]


class DLSAForm(Form):
    """The field `dlsa` of the file."""

    columns: Annotated[list[Any], Field(description="a list of names")]
    dram_tensor_order: Annotated[list[Any], Field(description="a list with a list for each DRAM tensor")]


class Row(NamedTuple):
    """A DRAM tensor of a file; the fields are the columns, in the order in which files are written."""

    kind: str
    layer: str
    tile: int
    source: str
    bytes: int | None
    start: int
    end: int
    begin_cycle: int | None


OPTIONAL_COLUMNS = ("bytes", "begin_cycle")
"""Columns that files may leave out."""
CELLS = {
    "kind": f"one of {', '.join(KIND_NAMES)}",
    "layer": "the name of a layer",
    "source": "a name, or empty text",
}
"""What a cell may hold, by column; cells of other columns hold a `NUMBER_CELL`."""
NUMBER_CELL = f"a whole number from {-LARGEST_COUNT} to {LARGEST_COUNT}"
