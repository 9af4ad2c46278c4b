"""The options of commands, as typed, in groups; a field whose annotation is an option is one on the command line."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.cli.options import (
    AccumulatorsOption,
    ActivationsOption,
    BatchAxisOption,
    BufferOption,
    DelayExponentOption,
    DeterministicOption,
    DimOption,
    DramOption,
    EndOption,
    EnergyExponentOption,
    FixLfaOption,
    HardwareOption,
    IgnoreUnsupportedOption,
    InputOption,
    LayoutOption,
    LogFileOption,
    PassesOption,
    PeriodsOption,
    PresentOption,
    ResumeOption,
    SeedOption,
    SpaceOption,
    StartOption,
    TilingOption,
    TimeLimitOption,
    TypesOption,
    UncappedOption,
    VerboseOption,
    WeightRatioOption,
    WeightsOption,
    WorkersOption,
)
from soma_cp.model.errors import UserError
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.options import OnnxOptions, Present, Role, Types
from soma_cp.model.network.rewrites.types import with_named_types
from soma_cp.solver.choices import UsePeriods

_NONE = "none"


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """The options that select the hardware."""

    hw: HardwareOption = None
    buffer: BufferOption = None
    dram: DramOption = None

    @property
    def given(self) -> tuple[str, str] | None:
        """The first of these options that is given, and its value."""
        options = (("--hw", self.hw), ("--buffer", self.buffer), ("--dram", self.dram))
        return next(((option, value) for option, value in options if value is not None), None)


@dataclass(frozen=True, kw_only=True)
class TypeOptions:
    """The options that give a network other data types."""

    weights: WeightsOption = None
    activations: ActivationsOption = None
    accumulators: AccumulatorsOption = None
    weight_ratio: WeightRatioOption = None

    @property
    def values(self) -> tuple[tuple[str, str | float | None], ...]:
        """The options and their values, None where one is not given."""
        return tuple((f"--{field.name.replace('_', '-')}", getattr(self, field.name)) for field in fields(self))

    @property
    def given(self) -> tuple[str, str] | None:
        """The first of these options that is given, and its value."""
        return next(((option, str(value)) for option, value in self.values if value is not None), None)

    def applied(self, network: Network) -> Network:
        """Return `network` with these types.

        Raises
        ------
        UserError
            If a type is unknown or the ratio is out of range.
        """
        return network if self.given is None else with_named_types(network, **asdict(self))


NO_TYPES = TypeOptions()
"""Where no options for data types are given."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of all searching commands."""

    energy_exponent: EnergyExponentOption = 1.0
    delay_exponent: DelayExponentOption = 1.0
    time_limit: TimeLimitOption = None
    space: SpaceOption = None
    passes: PassesOption = "auto"
    periods: PeriodsOption = UsePeriods.AUTO
    seed: SeedOption = 0
    workers: WorkersOption = None
    deterministic: DeterministicOption = False


@dataclass(frozen=True, kw_only=True)
class CoccoOptions:
    """The options of the Cocco baseline."""

    tiling: TilingOption = TilingRule.OUTPUT
    uncapped: UncappedOption = False


NO_COCCO = CoccoOptions()
"""Where none of them is given."""


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """The options that say where a search is logged."""

    verbose: VerboseOption = False
    log_file: LogFileOption = None


NO_LOG = LogOptions()

OF_TYPES = tuple(field.name for field in fields(TypeOptions))
OF_THE_PROBLEM = ("net", "batch", "seq", "hw", "buffer", "dram", "blocks", *OF_TYPES)
OF_THE_SEARCH = (
    "lfa",
    "stage2",
    "energy_exponent",
    "delay_exponent",
    "space",
    "passes",
    "periods",
    "seed",
    "deterministic",
    "exact",
    "tiling",
    "uncapped",
)
CONTRADICTIONS = {
    "--fix-lfa": (("lfa", "space", "passes", "periods", "exact", "tiling", "uncapped"), "which searches no LFA"),
    "--resume": ((*OF_THE_PROBLEM, *OF_THE_SEARCH), "which goes on as the file says"),
}
"""Options that can't go with one of `StartOptions`, by their names as parameters, and why."""
OF_A_NETWORK = ("seq", "blocks", *OF_TYPES)
"""Options that change the network that is named."""


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """The options that name a schedule file to begin from.

    Parameters
    ----------
    start, fix_lfa, resume
        The files.
    given
        The options on the command line, by the names of their parameters; ``net`` if a network is named in any way.
    """

    start: StartOption = None
    fix_lfa: FixLfaOption = None
    resume: ResumeOption = None
    given: frozenset[str] = frozenset()

    @property
    def named(self) -> tuple[str, Path] | None:
        """The option and its file.

        Raises
        ------
        UserError
            If several are given, or with them what contradicts them.
        """
        options = (("--start", self.start), ("--fix-lfa", self.fix_lfa), ("--resume", self.resume))
        given = [(option, path) for option, path in options if path is not None]
        if not given:
            return None
        if len(given) > 1:
            raise UserError(f"{given[0][0]} and {given[1][0]} both say where the search begins; leave one out")
        option, path = given[0]
        refused, why = CONTRADICTIONS.get(option, ((), ""))
        if "net" not in self.given:
            refused, why = (*refused, *OF_A_NETWORK), why or "whose file has its own network, without --net"
        for name in refused:
            if name in self.given:
                raise UserError(f"--{name.replace('_', '-')} with {option}, {why}; leave one of the two out")
        return option, path


@dataclass(frozen=True, kw_only=True)
class OnnxWords:
    """The options for ONNX models.

    Parameters
    ----------
    dim
        Dimensions as ``name=value``.
    end
        Nodes or tensors at which models end.
    batch_axis
        The axis of the batch, as ``input=axis`` or ``input=none``.
    layout
        The axes of inputs, as ``input=NHWC``.
    input
        What inputs are, as ``input=data``.
    present
        What is stored of keys and values that are joined to cached ones.
    types
        What types the data has.
    ignore_unsupported
        Whether unknown operators that could be element-wise are taken as element-wise.
    """

    dim: DimOption = None
    end: EndOption = None
    batch_axis: BatchAxisOption = None
    layout: LayoutOption = None
    input: InputOption = None
    present: PresentOption = Present.WHOLE
    types: TypesOption = Types.AUTO
    ignore_unsupported: IgnoreUnsupportedOption = False

    @property
    def given(self) -> str:
        """The first of these options that is given; empty if none is."""
        options = (
            ("--dim", self.dim),
            ("--end", self.end),
            ("--batch-axis", self.batch_axis),
            ("--layout", self.layout),
            ("--input", self.input),
            ("--present", self.present is not Present.WHOLE),
            ("--types", self.types is not Types.AUTO),
            ("--ignore-unsupported", self.ignore_unsupported),
        )
        return next((option for option, given in options if given), "")

    def parsed(self) -> OnnxOptions:
        """Return the options in terms of the import.

        Raises
        ------
        UserError
            If a word is not of its option's form.
        """
        batch_axes = _parsed("--batch-axis", self.batch_axis, "input=axis or input=none, such as src=1", _is_axis)
        roles = [role.value for role in Role]
        inputs = _parsed("--input", self.input, f"input=one of {', '.join(roles)}", roles.__contains__)
        layouts = _parsed("--layout", self.layout, "input=letters, such as image=NHWC", str.isalpha)
        dims = _parsed("--dim", self.dim, "name=value with a whole number, such as --dim seq=128", _is_number)
        return OnnxOptions(
            dims={name: int(value) for name, value in dims.items()},
            ignore_unsupported=self.ignore_unsupported,
            ends=tuple(self.end or ()),
            batch_axes={name: None if axis == _NONE else int(axis) for name, axis in batch_axes.items()},
            layouts={name: letters.upper() for name, letters in layouts.items()},
            roles={name: Role(role) for name, role in inputs.items()},
            present=self.present,
            types=self.types,
        )


def _parsed(option: str, words: Sequence[str] | None, form: str, fits: Callable[[str], bool]) -> dict[str, str]:
    """Return values by name, from words such as ``name=value``."""
    values: dict[str, str] = {}
    for word in words or ():
        name, _, value = word.rpartition("=")
        if not name or not fits(value):
            raise UserError(f"{option} {word} (must be {form})")
        if name in values:
            raise UserError(f"{option} {name} is given twice; keep one")
        values[name] = value
    return values


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def _is_axis(word: str) -> bool:
    return word == _NONE or _is_number(word)
