"""The fields of a platform, a row for each: its names in files, and what it may hold.

These rows define the checks of `Platform`, and the forms, the reading and the writing of hardware files of both
versions. `Platform` itself says which fields are needed, and gives the defaults of the others.
"""

from typing import NamedTuple

from soma_cp.model.data_types import DATA_TYPES, INT8
from soma_cp.model.hardware.field_kinds import (
    BYTES,
    HERTZ,
    LABEL,
    MODEL,
    MODEL_OPTIONS,
    PJ,
    PJ_PER_BYTE,
    Kind,
    bandwidth,
    energy,
    named,
    one_of,
    sides,
    whole,
)
from soma_cp.model.hardware.quantities import GIB
from soma_cp.model.semantics import SEMANTICS

MACS_PER_CYCLE = "macs_per_cycle"
"""A short form of version 2: a number N stands for an array of one PE (`pe_grid` 1) of N `macs_per_pe`."""


class PEMemories(NamedTuple):
    """Bytes of the memories of one PE.

    Parameters
    ----------
    AL1, WL1, OL1
        Activations, weights (shared by the lanes), outputs.
    """

    AL1: int
    WL1: int
    OL1: int


class UnitEnergies(NamedTuple):
    """Energy of reading and of writing one byte, and of one operation, in pJ.

    Parameters
    ----------
    AL1_read, AL1_write, WL1_read, WL1_write, OL1_read, OL1_write
        Memories of a PE.
    OL2_read, OL2_write
        The part of the GBUF that outputs pass through.
    GBUF_read, GBUF_write
        Global buffer.
    hop
        One byte from a PE to its neighbour.
    MAC
        One INT8 multiply-accumulate.
    vector_operation
        One element operation of the vector unit.
    """

    AL1_read: float
    AL1_write: float
    WL1_read: float
    WL1_write: float
    OL1_read: float
    OL1_write: float
    OL2_read: float
    OL2_write: float
    GBUF_read: float
    GBUF_write: float
    hop: float
    MAC: float
    vector_operation: float


MEMORIES = PEMemories._fields
"""Memories of a PE; a platform may give their sizes."""
OPERATION_ENERGIES = ("MAC", "vector_operation")
"""Energies of an operation; a platform may give them."""
BYTE_ENERGIES = tuple(name for name in UnitEnergies._fields if name not in OPERATION_ENERGIES)
"""Energies of a byte; a platform may give them."""


OTHER_TYPES = tuple(one.name for one in DATA_TYPES if one != INT8)
"""The data types whose costs a platform may give beside those of INT8."""


class Field(NamedTuple):
    """A field.

    Parameters
    ----------
    name
        Name on `Platform` and in version 1.
    yaml
        Name in version 2; two fields may be parts of one object there.
    kind
        What it holds. The largest number allowed is beyond any accelerator, and small enough for 64-bit arithmetic.
    meaning
        What it is, in a few words.
    """

    name: str
    yaml: str
    kind: Kind
    meaning: str


FIELDS = (
    Field("name", "name", LABEL, "name for people"),
    Field("clock_hz", "clock", whole(10**12, HERTZ), "cycles per second"),
    # 10 % of energy for every 2 MiB: more overflows a float64
    Field("gbuf_bytes", "gbuf", whole(4 * GIB, BYTES), "capacity of the global buffer"),
    Field("gbuf_bytes_per_cycle", "gbuf_bandwidth", bandwidth(1 << 30), "bandwidth from the global buffer to the PEs"),
    Field(
        "dram_bytes_per_cycle",
        "dram_bandwidth",
        bandwidth(1 << 30, may_be_fraction=True),
        "bandwidth of DRAM, reads and writes together",
    ),
    Field("dram_pj_per_byte", "dram_energy", energy(PJ_PER_BYTE), "energy of a byte read from or written to DRAM"),
    Field("pe_grid", "pe_grid", sides(1024), "rows and columns of PEs"),
    Field("macs_per_pe", "macs_per_pe", whole(1 << 24), "multiply-accumulates of a PE per cycle"),
    Field("vector_ops", "vector_ops", whole(1 << 30, optional=True), "element operations of the vector unit per cycle"),
    Field("pe_bus_bytes_per_cycle", "pe_bus", bandwidth(1 << 30), "bandwidth from a PE to its neighbour"),
    Field(
        "memory_bytes",
        "memories",
        named(dict.fromkeys(MEMORIES, whole(GIB, BYTES)), with_field=True),
        "sizes of the memories of a PE: AL1 of activations, WL1 of weights, OL1 of outputs",
    ),
    Field(
        "energy_pj",
        "energies",
        named(
            dict.fromkeys(BYTE_ENERGIES, energy(PJ_PER_BYTE)) | dict.fromkeys(OPERATION_ENERGIES, energy(PJ)),
            with_field=False,
        ),
        "energies of a byte read, written or passed on, and of an operation",
    ),
    Field(
        "macs_per_cycle_by_type",
        "macs_per_cycle_by_type",
        named(dict.fromkeys(OTHER_TYPES, whole(1 << 44)), with_field=True),
        "multiply-accumulates of the whole array per cycle, by data type; missing types are scaled from INT8",
    ),
    Field(
        "mac_pj_by_type",
        "mac_energy_by_type",
        named(dict.fromkeys(OTHER_TYPES, energy(PJ)), with_field=True),
        "energy of a multiply-accumulate, by data type; missing types are scaled from INT8",
    ),
    Field("core_array", "core_array", MODEL, "core array, which prices tiles"),
    Field("core_array_options", "core_array", MODEL_OPTIONS, "options of the core array"),
    Field("semantics", "semantics", one_of(*SEMANTICS), "semantics of the model"),
)
"""The rows, in the order of version 2; version 1 has the order of `Platform`."""

KIND = {field.name: field.kind for field in FIELDS}
"""The rows by name on `Platform`."""
