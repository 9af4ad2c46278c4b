"""The options that several commands share, as typer takes them."""

from pathlib import Path
from typing import Annotated

import typer

from soma_cp.model.hardware.presets import PRESETS
from soma_cp.model.network.onnx_import.options import Present
from soma_cp.solver.choices import Space

NetOption = Annotated[
    str | None,
    typer.Option(
        "--net", help="Built-in network (see 'soma-cp nets') or network file (JSON, YAML, ONNX).", show_default=False
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", help="Samples that run together.")]
SeqOption = Annotated[
    int | None,
    typer.Option("--seq", help="Tokens: prompt length (prefill) or cached tokens (decode) of a transformer."),
]
HardwareOption = Annotated[
    str | None,
    typer.Option(
        "--hw",
        help=f"Built-in platform ({', '.join(PRESETS)}; see 'soma-cp hw') or hardware file (YAML, JSON); by default "
        f"the network's usual platform.",
    ),
]
BufferOption = Annotated[str | None, typer.Option("--buffer", help="Another buffer capacity, such as 4MiB.")]
DramOption = Annotated[str | None, typer.Option("--dram", help="Another DRAM bandwidth, such as 32GB/s.")]
DimOption = Annotated[
    list[str] | None,
    typer.Option("--dim", help="Value of a dimension of an ONNX model, such as seq=128; may be given several times."),
]
EndOption = Annotated[
    list[str] | None,
    typer.Option(
        "--end", help="Node or tensor at which an ONNX model ends, not its outputs; may be given several times."
    ),
]
BatchAxisOption = Annotated[
    list[str] | None,
    typer.Option(
        "--batch-axis",
        help="Axis of an ONNX input that is the batch, such as src=1 or x=none; may be given several times.",
    ),
]
LayoutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layout", help="Axes of an ONNX input: image=NHWC (NCHW), text=NLC (NCL); may be given several times."
    ),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input", help="What an ONNX input is: depth=data, valid=mask or ids=index; may be given several times."
    ),
]
PresentOption = Annotated[
    Present,
    typer.Option("--present", help="What is stored of keys and values that an ONNX model joins to cached ones."),
]
IgnoreUnsupportedOption = Annotated[
    bool,
    typer.Option("--ignore-unsupported", help="Take unknown ONNX operators as element-wise if shapes allow it."),
]
LfaOption = Annotated[
    str,
    typer.Option(
        "--lfa",
        help="What finds layer fusions: greedy (a search that prices them by the greedy second stage), paper (the "
        "paper's first stage), or the first stage of an installed package.",
        metavar="NAME",
    ),
]
Stage2Option = Annotated[
    str,
    typer.Option(
        "--stage2",
        help="Second stage: cpsat (exact), sa (annealing), greedy (one pass), none (double buffering only), or that of "
        "an installed package.",
        metavar="NAME",
    ),
]
StartOption = Annotated[
    Path | None,
    typer.Option("--start", help="Begin from this schedule file: the result is never worse.", show_default=False),
]
FixLfaOption = Annotated[
    Path | None,
    typer.Option(
        "--fix-lfa",
        help="Keep the layer fusion of this schedule file; the second stage alone runs.",
        show_default=False,
    ),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        help="Go on with the search that wrote this file, with its options; writes it again unless -o names another.",
        show_default=False,
    ),
]
SpaceOption = Annotated[
    Space | None,
    typer.Option(
        "--space",
        help="wide: readers of a source may share its loads; paper: each loads by itself, as in the SoMa paper. "
        "By default wide, but paper with --exact and --lfa paper.",
        show_default=False,
    ),
]
EnergyExponentOption = Annotated[float, typer.Option("--energy-exponent", help="n of energy^n × delay^m.")]
DelayExponentOption = Annotated[float, typer.Option("--delay-exponent", help="m of energy^n × delay^m.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all random draws.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
WorkersOption = Annotated[int | None, typer.Option("--workers", help="Threads of CP-SAT; all cores by default.")]
DeterministicOption = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="CP-SAT with one thread and deterministic time: the same schedule on every run.",
    ),
]


def given_options(context: typer.Context) -> frozenset[str]:
    """Return the names of the parameters that are given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
