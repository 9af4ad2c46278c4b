"""The schema of a schedule file (docs/file-formats.md); a field's description says what is allowed."""

from typing import Annotated, Any, NamedTuple

from pydantic import Field, create_model

from soma_cp.model.files.forms import Form, Name, means, whole_number
from soma_cp.model.network.network_checks import LARGEST_COUNT
from soma_cp.model.problem import MAX_BATCH
from soma_cp.model.soma.figures import Unit, file_figures
from soma_cp.model.soma.plan import MAX_TILES
from soma_cp.model.soma.tensors import KIND_NAMES

VERSION = 2
"""Version 2 has shared loads, divisions and passes."""

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
    **{row.name: (Annotated[_TYPES[row.unit], means(row.description)], _NOT_GIVEN) for row in file_figures()},
    **{
        row.former: (Annotated[_TYPES[row.unit], FORMER, means(f"former name of {row.name}")], _NOT_GIVEN)
        for row in file_figures()
        if row.former
    },
    "tile_begin_cycles": (
        Annotated[
            list[Count], Field(description="a list of whole numbers"), means("when each tile begins, by tile (cycles)")
        ],
        _NOT_GIVEN,
    ),
}
FiguresForm: type[Form] = create_model("FiguresForm", __base__=Form, **_CLAIMS)
"""Figures that files claim, at the top or under `expect`."""


Bound = Annotated[int | None, Field(ge=0, le=LARGEST_COUNT, description="a whole number of at least 0, or null")]


class ScheduleFields(Form):
    """All fields but the figures; the larger parts are checked one by one."""

    version: Annotated[int, Field(ge=1, le=VERSION, description="1 or 2"), means("version of the file's format")] = 1
    network: Annotated[
        Any, Field(description="the name of a built-in network, or a network"), means("network that is scheduled")
    ]
    batch: Annotated[int, whole_number(1, MAX_BATCH), means("samples that run together")]
    hardware: Annotated[
        Any, Field(description="an object with the fields of a hardware file"), means("platform, in version 1")
    ]
    lfa: Annotated[
        Any,
        Field(description="an object with flgs"),
        means("layer-fusion-related attributes: what is fused and tiled"),
    ]
    dlsa: Annotated[
        Any,
        Field(description="an object with columns and dram_tensor_order"),
        means("DRAM-load-and-store-related attributes: when every tensor moves"),
    ]
    violations: Annotated[list[Any], Field(description="a list"), means("empty in a valid schedule; not read")] = (
        _NOT_GIVEN
    )
    expect: Annotated[
        dict[str, Any], Field(description="an object with figures"), means("figures that are not at the top")
    ] = _NOT_GIVEN
    proven_lower_bound_cycles: Annotated[
        Bound, means("highest proven lower bound on the latency of any DLSA of this LFA (cycles)")
    ] = None
    proven_lower_bound: Annotated[Bound, FORMER, means("former name of proven_lower_bound_cycles")] = None
    proven_optimal: Annotated[
        bool, Field(description="true or false"), means("whether the latency meets the proven lower bound")
    ] = False
    tile_shapes: Annotated[
        dict[str, Annotated[list[Count], Field(min_length=4, max_length=4)]],
        Field(description="an object with a list for each layer: samples, channels, rows, columns"),
        means("extent of each layer's tiles (elements)"),
    ] = _NOT_GIVEN
    provenance: Annotated[dict[str, Any], Field(description="an object"), means("how the schedule was made")] = (
        _NOT_GIVEN
    )


_BASES: tuple[Any, ...] = (ScheduleFields, FiguresForm)
ScheduleForm: type[ScheduleFields] = create_model("ScheduleForm", __base__=_BASES)
"""The whole file; error messages list the figures first."""


class LFAForm(Form):
    """The field `lfa` of the file."""

    flgs: Annotated[
        list[Any],
        Field(min_length=1, description="a list of FLGs, not empty"),
        means("fine-grained layer-fusion groups (FLGs) in computing order"),
    ]
    shared_loads: Annotated[
        list[Any],
        Field(description="a list of objects with layer and source"),
        means("loads that a layer shares with an earlier one"),
    ] = _NOT_GIVEN
    divisions: Annotated[
        list[Any],
        Field(description="a list of objects with layer and channels"),
        means("layers that are divided by output channels"),
    ] = _NOT_GIVEN
    passes: Annotated[
        Any,
        Field(description="an object with count"),
        means("passes over equal parts of the batch; all else in lfa is that of one pass"),
    ] = _NOT_GIVEN


class FLGForm(Form):
    """An item of `lfa.flgs`."""

    tiling_number: Annotated[int, whole_number(1, MAX_TILES), means("tiles into which each of its layers is cut")]
    dram_cut: Annotated[bool, Field(description="true or false"), means("whether a new layer-fusion group begins here")]
    layers: Annotated[
        list[Name],
        Field(min_length=1, description="a list of names of layers, not empty"),
        means("its layers in computing order"),
    ]


class SharedLoadForm(Form):
    """An item of `lfa.shared_loads`."""

    layer: Annotated[Name, means("layer that uses what an earlier one loads")]
    source: Annotated[
        str, Field(description="the name of what it reads, empty for its weights"), means("what is loaded")
    ]


class DivisionForm(Form):
    """An item of `lfa.divisions`."""

    layer: Annotated[Name, means("layer that is divided")]
    channels: Annotated[
        list[Annotated[int, whole_number(1, LARGEST_COUNT)]],
        Field(min_length=2, description="a list of two or more whole numbers of at least 1"),
        means("output channels of each part, in channel order"),
    ]


class PassesForm(Form):
    """The field `lfa.passes`."""

    count: Annotated[int, whole_number(1, MAX_BATCH), means("number of passes, a divisor of the batch")]


class DLSAForm(Form):
    """The field `dlsa` of the file."""

    columns: Annotated[list[Any], Field(description="a list of names"), means("names of the columns, in any order")]
    dram_tensor_order: Annotated[
        list[Any],
        Field(description="a list with a list for each DRAM tensor"),
        means("DRAM tensors in the order of their transfers, a row each (bytes, tiles, cycles)"),
    ]


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
    number_of_pass: int | None


PASS = "pass"
"""The column of the number of the pass, from 0; files of schedules in one pass leave it out."""
FILE_COLUMNS = (*Row._fields[:-1], PASS)
"""The names of the columns in files: those of the fields, but `pass` is no name for a field in Python."""
OPTIONAL_COLUMNS = ("bytes", "begin_cycle")
"""Columns that files may leave out, beside `PASS`."""
CELLS = {
    "kind": f"one of {', '.join(KIND_NAMES)}",
    "layer": "the name of a layer",
    "source": "a name, or empty text",
}
"""What a cell may hold, by column; cells of other columns hold a `NUMBER_CELL`."""
NUMBER_CELL = f"a whole number from {-LARGEST_COUNT} to {LARGEST_COUNT}"
