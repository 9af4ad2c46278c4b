"""The arguments and options that several commands share, as typer takes them, in the panels of ``--help``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.cli.completion import network_names, platform_names, stage_names, type_names
from soma_cp.model.hardware.presets import PRESETS
from soma_cp.model.network.onnx_import.options import Present, Types
from soma_cp.solver.choices import FIRST_STAGE_KIND, SECOND_STAGE_KIND, Extension, Space

PROBLEM = "What is scheduled"
ONNX = "ONNX models"
HARDWARE = "Hardware"
SEARCH = "Search"
BEGINNING = "Where the search begins"
RESULT = "Result"
WORKERS = "Workers"
REPORT = "Report"

_NETWORK_HELP = "built-in network (see 'soma-cp nets') or network file (JSON, YAML, ONNX)"


def _option(panel: str, *declared: str, **settings: Any) -> Any:
    """Return an option of a panel; its default is shown where it says something."""
    return typer.Option(*declared, rich_help_panel=panel, **{"show_default": False} | settings)


def _repeated(help: str) -> str:
    return f"{help}; may be given several times."


NetworkArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NETWORK",
        help=f"The network: {_NETWORK_HELP}.",
        show_default=False,
        autocompletion=network_names,
    ),
]
NetworksArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NETWORK...",
        help=f"Networks, each a {_NETWORK_HELP}.",
        show_default=False,
        autocompletion=network_names,
    ),
]
NetOption = Annotated[str | None, _option(PROBLEM, "--net", help="The same as NETWORK.", autocompletion=network_names)]
NetsOption = Annotated[
    list[str] | None,
    _option(PROBLEM, "--net", help=_repeated("Another NETWORK"), autocompletion=network_names),
]
StoredNetOption = Annotated[
    str | None,
    _option(PROBLEM, "--net", help="Network file, if the schedule's network is not built in."),
]
BatchOption = Annotated[int, _option(PROBLEM, "--batch", help="Samples that run together.", show_default=True)]
BatchesOption = Annotated[
    list[int] | None,
    _option(PROBLEM, "--batch", help=_repeated("Samples that run together, 1 by default")),
]
SeqOption = Annotated[
    int | None,
    _option(PROBLEM, "--seq", help="Tokens: prompt length (prefill) or cached tokens (decode) of a transformer."),
]
BlocksOption = Annotated[
    int | None,
    _option(
        PROBLEM,
        "--blocks",
        help="Number of transformer blocks to schedule as one network, if the network is one block.",
    ),
]
WeightsOption = Annotated[
    str | None,
    _option(
        PROBLEM,
        "--weights",
        help="Type of stored weights, such as int4, fp16 or int4/128 (a 16-bit scale for each 128 weights).",
        metavar="TYPE",
        autocompletion=type_names,
    ),
]
ActivationsOption = Annotated[
    str | None,
    _option(
        PROBLEM,
        "--activations",
        help="Type of inputs and ofmaps, such as int16, fp8 or bf16.",
        metavar="TYPE",
        autocompletion=type_names,
    ),
]
AccumulatorsOption = Annotated[
    str | None,
    _option(
        PROBLEM,
        "--accumulators",
        help="Type of partial sums in the core array, such as fp32; by default that of the ofmap.",
        metavar="TYPE",
        autocompletion=type_names,
    ),
]
WeightRatioOption = Annotated[
    float | None,
    _option(PROBLEM, "--weight-ratio", help="Bytes of weights in DRAM for each byte in the buffer, such as 0.7."),
]
HardwareOption = Annotated[
    str | None,
    _option(
        HARDWARE,
        "--hw",
        help=f"Built-in platform ({', '.join(PRESETS)}; see 'soma-cp hw') or hardware file (YAML, JSON); by default "
        "the network's usual platform.",
        autocompletion=platform_names,
    ),
]
BufferOption = Annotated[
    str | None, _option(HARDWARE, "--buffer", help="Another capacity of the global buffer (GBUF), such as 4MiB.")
]
DramOption = Annotated[str | None, _option(HARDWARE, "--dram", help="Another DRAM bandwidth, such as 32GB/s.")]
DimOption = Annotated[list[str] | None, _option(ONNX, "--dim", help=_repeated("Value of a dimension, such as seq=128"))]
EndOption = Annotated[
    list[str] | None,
    _option(ONNX, "--end", help=_repeated("Node or tensor at which a model ends, not its outputs")),
]
BatchAxisOption = Annotated[
    list[str] | None,
    _option(ONNX, "--batch-axis", help=_repeated("Axis of an input that is the batch, such as src=1 or x=none")),
]
LayoutOption = Annotated[
    list[str] | None,
    _option(ONNX, "--layout", help=_repeated("Axes of an input: image=NHWC (NCHW), text=NLC (NCL)")),
]
InputOption = Annotated[
    list[str] | None,
    _option(ONNX, "--input", help=_repeated("What an input is: depth=data, valid=mask or ids=index")),
]
PresentOption = Annotated[
    Present,
    _option(
        ONNX, "--present", help="What is stored of keys and values that are joined to cached ones.", show_default=True
    ),
]
TypesOption = Annotated[
    Types,
    _option(
        ONNX,
        "--types",
        help="Types of data: the model's own (model), the same with INT8 for those of 32 or 64 bits, which exports "
        "have before they are quantised (auto), or INT8 for all (int8).",
        show_default=True,
    ),
]
IgnoreUnsupportedOption = Annotated[
    bool,
    _option(ONNX, "--ignore-unsupported", help="Take unknown operators as element-wise if shapes allow it."),
]
LfaOption = Annotated[
    str,
    _option(
        SEARCH,
        "--lfa",
        help="What finds layer fusions (LFAs, Layer-Fusion-related Attributes: order, groups, tiling numbers, DRAM "
        "cuts): greedy, a search that prices them by the greedy second stage; paper, the paper's first stage; cocco, "
        "the baseline that the paper compares with; cocco-ga, the same by a genetic search; or that of an installed "
        "package.",
        metavar="NAME",
        autocompletion=stage_names(FIRST_STAGE_KIND),
        show_default=True,
    ),
]
Stage2Option = Annotated[
    str | None,
    _option(
        SEARCH,
        "--stage2",
        help="Second stage, which decides when each tensor is loaded, stored and released (DLSA, DRAM-Load-and-"
        "Store-related Attributes): cpsat, exact; sa, annealing; greedy, one pass; none, double "
        "buffering only; or that of an installed package. By default cpsat, but none with --lfa cocco and cocco-ga.",
        metavar="NAME",
        autocompletion=stage_names(SECOND_STAGE_KIND),
    ),
]
BaselinesOption = Annotated[
    bool,
    _option(
        SEARCH,
        "--baselines",
        help="Compare whole methods instead: the Cocco baseline, its LFA with the exact second stage, the paper's "
        "search and the default.",
    ),
]
TilingOption = Annotated[
    TilingRule,
    _option(
        SEARCH,
        "--tiling",
        help="With --lfa cocco and cocco-ga, the tiling number of a group: the largest of its output layers (output) "
        "or of all its layers (largest), or that of a group from which it was fused (inherit, cocco only).",
        show_default=True,
    ),
]
UncappedOption = Annotated[
    bool,
    _option(SEARCH, "--uncapped", help="With --lfa cocco and cocco-ga, layers may have more than 16 tiles a sample."),
]
ExactOption = Annotated[
    bool,
    _option(SEARCH, "--exact", help="Search all layer fusions: proves the optimum of networks of up to 12 layers."),
]
AdviseOption = Annotated[
    bool,
    _option(
        SEARCH,
        "--advise",
        help="Solve again with each change of the hardware that is advised; takes up to the time again.",
    ),
]
SpaceOption = Annotated[
    Space | None,
    _option(
        SEARCH,
        "--space",
        help="wide: readers of a source may share its loads, layers may be divided, the batch may be run in passes; "
        "paper: as in the SoMa paper. By default wide, but paper with --exact and --lfa paper.",
    ),
]
PassesOption = Annotated[
    str,
    _option(
        SEARCH,
        "--passes",
        help="Passes over equal parts of the batch, each of which loads all weights: a divisor of the batch, or auto: "
        "what the search finds best in the wide space.",
        metavar="auto|N",
        show_default=True,
    ),
]
DivisionsOption = Annotated[
    Extension,
    _option(SEARCH, "--divisions", help="off: no layer is divided, in the wide space.", show_default=True),
]
SharedLoadsOption = Annotated[
    Extension,
    _option(SEARCH, "--shared-loads", help="off: no load is shared, in the wide space.", show_default=True),
]
PeriodsOption = Annotated[
    Extension,
    _option(
        SEARCH,
        "--periods",
        help="auto: where alike blocks follow one another, one is searched for all, in the wide space; off: all layers "
        "are.",
        show_default=True,
    ),
]
EnergyExponentOption = Annotated[
    float, _option(SEARCH, "--energy-exponent", help="n of energy^n × delay^m, which is minimised.", show_default=True)
]
DelayExponentOption = Annotated[
    float, _option(SEARCH, "--delay-exponent", help="m of energy^n × delay^m.", show_default=True)
]
SeedOption = Annotated[int, _option(SEARCH, "--seed", help="Seed of all random draws.", show_default=True)]
TimeLimitOption = Annotated[
    float | None, _option(SEARCH, "--time-limit", help="Seconds in all, 60 by default; 0 for no limit.")
]
EachTimeLimitOption = Annotated[
    float | None,
    _option(
        SEARCH, "--time-limit", help="Seconds for each search and each second stage, 60 by default; 0 for no limit."
    ),
]
WorkersOption = Annotated[int | None, _option(SEARCH, "--workers", help="Threads of CP-SAT; all cores by default.")]
DeterministicOption = Annotated[
    bool,
    _option(
        SEARCH,
        "--deterministic",
        help="CP-SAT with one thread and deterministic time: the same schedule on every run, and outputs without "
        "seconds, the same to the byte.",
    ),
]
StartOption = Annotated[
    Path | None, _option(BEGINNING, "--start", help="Begin from this schedule file: the result is never worse.")
]
FixLfaOption = Annotated[
    Path | None,
    _option(BEGINNING, "--fix-lfa", help="Keep the layer fusion of this schedule file; the second stage alone runs."),
]
ResumeOption = Annotated[
    Path | None,
    _option(
        BEGINNING,
        "--resume",
        help="Go on with the search that wrote this file, with its options; writes it again unless -o names another.",
    ),
]
ScheduleOutputOption = Annotated[
    Path | None, _option(RESULT, "--output", "-o", help="Write the whole schedule to this JSON file.")
]
VerboseOption = Annotated[
    bool, _option(RESULT, "--verbose", "-v", help="Log on stderr what the search does, line by line.")
]
LogFileOption = Annotated[
    Path | None, _option(RESULT, "--log-file", help="Write the same log to this file.", metavar="FILE")
]
JsonOption = Annotated[bool, _option(RESULT, "--json", help="Print one JSON object instead of tables.")]
