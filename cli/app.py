"""The commands with their options, as typer takes them; each calls its module in `soma_cp.cli.commands`.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated

try:
    import typer
except KeyboardInterrupt:  # Ctrl-C before there is anything to end
    sys.exit(130)

from soma_cp import __version__
from soma_cp.cli.formats import Format
from soma_cp.cli.options import (
    BatchAxisOption,
    BatchOption,
    BufferOption,
    DelayExponentOption,
    DeterministicOption,
    DimOption,
    DramOption,
    EndOption,
    EnergyExponentOption,
    HardwareOption,
    IgnoreUnsupportedOption,
    InputOption,
    JsonOption,
    LayoutOption,
    LfaOption,
    NetOption,
    PresentOption,
    SeedOption,
    SeqOption,
    SpaceOption,
    WorkersOption,
)
from soma_cp.cli.reports.formats import ReportFormat
from soma_cp.model.network.onnx_import.options import Present
from soma_cp.solver.choices import FirstStage, SecondStage

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Schedules the DRAM communication of DNN accelerators: what is fused and tiled, and when every tensor "
    "moves between DRAM and the buffer.",
)


@app.command()
def solve(
    net: NetOption,
    batch: BatchOption = 1,
    seq: SeqOption = None,
    blocks: Annotated[
        int | None,
        typer.Option(
            "--blocks", help="Number of transformer blocks to schedule as one network, if the network is one block."
        ),
    ] = None,
    dim: DimOption = None,
    end: EndOption = None,
    batch_axis: BatchAxisOption = None,
    layout: LayoutOption = None,
    input: InputOption = None,
    present: PresentOption = Present.WHOLE,
    ignore_unsupported: IgnoreUnsupportedOption = False,
    hw: HardwareOption = None,
    buffer: BufferOption = None,
    dram: DramOption = None,
    lfa: LfaOption = FirstStage.GREEDY,
    stage2: Annotated[
        SecondStage,
        typer.Option("--stage2", help="Second stage: exact, annealing, one greedy pass, or double buffering only."),
    ] = SecondStage.CPSAT,
    energy_exponent: EnergyExponentOption = 1.0,
    delay_exponent: DelayExponentOption = 1.0,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Seconds in all, 60 by default; 0 for no limit.")
    ] = None,
    space: SpaceOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    deterministic: DeterministicOption = False,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Search all layer fusions: proves the optimum of networks of up to 12 layers."),
    ] = False,
    advise: Annotated[
        bool,
        typer.Option(
            "--advise", help="Solve again with each change of the hardware that is advised; takes up to the time again."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the whole schedule to this JSON file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find a schedule of a network and report how good it is."""
    from soma_cp.cli.commands.solve import SolveOptions, run_solve
    from soma_cp.cli.inputs import HardwareOptions
    from soma_cp.cli.onnx_models import onnx_models
    from soma_cp.cli.search_options import SearchOptions

    run_solve(
        SolveOptions(
            net=net,
            batch=batch,
            seq=seq,
            hardware=HardwareOptions(hw, buffer, dram),
            onnx=onnx_models([net], dim, end, batch_axis, layout, input, present, ignore_unsupported),
            first_stage=lfa,
            second_stage=stage2,
            search=SearchOptions(
                energy_exponent=energy_exponent,
                delay_exponent=delay_exponent,
                time_limit=time_limit,
                seed=seed,
                workers=workers,
                deterministic=deterministic,
                space=space,
            ),
            exact=exact,
            blocks=blocks,
            output=output,
            as_json=json,
            advise=advise,
        )
    )


@app.command()
def compare(
    net: Annotated[
        list[str] | None,
        typer.Option("--net", help="Built-in network or network file (JSON, YAML, ONNX); may be given several times."),
    ] = None,
    schedule: Annotated[
        list[Path] | None,
        typer.Option(
            "--schedule", help="Take the LFA of this schedule file instead of searching; may be given several times."
        ),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option("--batch", help="Samples that run together, 1 by default; may be given several times."),
    ] = None,
    seq: SeqOption = None,
    dim: DimOption = None,
    end: EndOption = None,
    batch_axis: BatchAxisOption = None,
    layout: LayoutOption = None,
    input: InputOption = None,
    present: PresentOption = Present.WHOLE,
    ignore_unsupported: IgnoreUnsupportedOption = False,
    hw: HardwareOption = None,
    buffer: BufferOption = None,
    dram: DramOption = None,
    lfa: LfaOption = FirstStage.GREEDY,
    energy_exponent: EnergyExponentOption = 1.0,
    delay_exponent: DelayExponentOption = 1.0,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", help="Seconds for the search and each second stage, 60 by default; 0: none."),
    ] = None,
    space: SpaceOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    deterministic: DeterministicOption = False,
    json: JsonOption = False,
    format: Annotated[Format | None, typer.Option("--format", help="Form of the result; a table by default.")] = None,
) -> None:
    """Compare double buffering, greedy, SA and CP-SAT on the same LFA, for one or several networks."""
    from soma_cp.cli.commands.compare import CompareOptions, run_compare
    from soma_cp.cli.formats import format_from
    from soma_cp.cli.inputs import HardwareOptions
    from soma_cp.cli.onnx_models import onnx_models
    from soma_cp.cli.search_options import SearchOptions

    run_compare(
        CompareOptions(
            nets=net or [],
            schedules=schedule or [],
            batches=batch or [],
            seq=seq,
            hardware=HardwareOptions(hw, buffer, dram),
            onnx=onnx_models(net or [], dim, end, batch_axis, layout, input, present, ignore_unsupported),
            first_stage=lfa,
            search=SearchOptions(
                energy_exponent=energy_exponent,
                delay_exponent=delay_exponent,
                time_limit=time_limit,
                seed=seed,
                workers=workers,
                deterministic=deterministic,
                space=space,
            ),
            format=format_from(format, json),
        )
    )


@app.command()
def gap(
    net: Annotated[
        list[str],
        typer.Option("--net", help="Built-in network or network file (JSON, YAML, ONNX); may be given several times."),
    ],
    batch: Annotated[
        list[int] | None,
        typer.Option("--batch", help="Samples that run together, 1 by default; may be given several times."),
    ] = None,
    seq: SeqOption = None,
    dim: DimOption = None,
    end: EndOption = None,
    batch_axis: BatchAxisOption = None,
    layout: LayoutOption = None,
    input: InputOption = None,
    present: PresentOption = Present.WHOLE,
    ignore_unsupported: IgnoreUnsupportedOption = False,
    hw: HardwareOption = None,
    buffer: BufferOption = None,
    dram: DramOption = None,
    energy_exponent: EnergyExponentOption = 1.0,
    delay_exponent: DelayExponentOption = 1.0,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", help="Seconds for each search and for SA, 60 by default; 0: none."),
    ] = None,
    space: SpaceOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    deterministic: DeterministicOption = False,
    format: Annotated[Format, typer.Option("--format", help="Form of the ladders.")] = Format.TABLE,
) -> None:
    """Report how far from the best possible: the ladder from double buffering to the bound over every LFA."""
    from soma_cp.cli.commands.gap import GapOptions, run_gap
    from soma_cp.cli.inputs import HardwareOptions
    from soma_cp.cli.onnx_models import onnx_models
    from soma_cp.cli.search_options import SearchOptions

    run_gap(
        GapOptions(
            nets=net,
            batches=batch or [1],
            seq=seq,
            hardware=HardwareOptions(hw, buffer, dram),
            onnx=onnx_models(net, dim, end, batch_axis, layout, input, present, ignore_unsupported),
            search=SearchOptions(
                energy_exponent=energy_exponent,
                delay_exponent=delay_exponent,
                time_limit=time_limit,
                seed=seed,
                workers=workers,
                deterministic=deterministic,
                space=space,
            ),
            format=format,
        )
    )


@app.command()
def evaluate(
    schedule: Annotated[Path, typer.Argument(help="A schedule file.", show_default=False)],
    net: Annotated[
        str | None, typer.Option("--net", help="Network file, if the schedule's network is not built in.")
    ] = None,
    dim: DimOption = None,
    end: EndOption = None,
    batch_axis: BatchAxisOption = None,
    layout: LayoutOption = None,
    input: InputOption = None,
    present: PresentOption = Present.WHOLE,
    ignore_unsupported: IgnoreUnsupportedOption = False,
    json: JsonOption = False,
) -> None:
    """Recompute a stored schedule and report it, or refuse it with the rule that it breaks."""
    from soma_cp.cli.commands.evaluate import run_evaluate
    from soma_cp.cli.onnx_models import onnx_models

    run_evaluate(
        schedule, net, json, onnx_models([net], dim, end, batch_axis, layout, input, present, ignore_unsupported)
    )


@app.command()
def report(
    schedules: Annotated[
        list[Path], typer.Argument(help="Schedule files, shown one below the other.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; its ending selects the format.", show_default=False)
    ],
    format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Format of the report, if the ending does not select it.", show_default=False),
    ] = None,
    double_buffering: Annotated[
        bool, typer.Option("--double-buffering", help="Show double buffering of the same LFA before each schedule.")
    ] = False,
    net: Annotated[
        str | None, typer.Option("--net", help="Network file, if the schedules' network is not built in.")
    ] = None,
    dim: DimOption = None,
    end: EndOption = None,
    batch_axis: BatchAxisOption = None,
    layout: LayoutOption = None,
    input: InputOption = None,
    present: PresentOption = Present.WHOLE,
    ignore_unsupported: IgnoreUnsupportedOption = False,
) -> None:
    """Show schedules as a page (html), tables (csv), a trace for ui.perfetto.dev (perfetto), or as svg, png, pdf."""
    from soma_cp.cli.commands.report import ReportOptions, run_report
    from soma_cp.cli.onnx_models import onnx_models

    onnx = onnx_models([net], dim, end, batch_axis, layout, input, present, ignore_unsupported)
    run_report(ReportOptions(schedules, net, double_buffering, format, output, onnx))


@app.command()
def nets(
    export: Annotated[
        str | None,
        typer.Option("--export", help="Write this network as a network file, to start your own from.", metavar="NET"),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", help="Report what every node of this ONNX model becomes.", metavar="MODEL.onnx"),
    ] = None,
    seq: SeqOption = None,
    dim: DimOption = None,
    end: EndOption = None,
    batch_axis: BatchAxisOption = None,
    layout: LayoutOption = None,
    input: InputOption = None,
    present: PresentOption = Present.WHOLE,
    ignore_unsupported: IgnoreUnsupportedOption = False,
    divide: Annotated[
        str | None,
        typer.Option(
            "--divide",
            help="Export layers with more weights than this, such as 2MiB, divided by output channels.",
            metavar="SIZE",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; NAME.json in this folder by default.")
    ] = None,
    json: JsonOption = False,
    format: Annotated[
        Format | None, typer.Option("--format", help="Form of the report of --check; a table by default.")
    ] = None,
) -> None:
    """List the built-in networks, export one, or check an ONNX model."""
    from soma_cp.cli.commands.lists import checked_choice, run_check, run_export, run_nets
    from soma_cp.cli.formats import format_from
    from soma_cp.cli.onnx_models import onnx_models

    checked_choice(export, check, format)
    onnx = onnx_models([export, check], dim, end, batch_axis, layout, input, present, ignore_unsupported)
    if check is not None:
        run_check(check, seq, output, divide, onnx, format_from(format, json))
    elif export is None:
        run_nets(json, seq, output, divide)
    else:
        run_export(export, seq, output, onnx, divide)


@app.command()
def hw(
    export: Annotated[
        str | None, typer.Option("--export", help="Write the hardware file of this platform, to change it.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; PLATFORM.yaml by default.")] = None,
    json: JsonOption = False,
) -> None:
    """List the built-in platforms, or export one."""
    from soma_cp.cli.commands.lists import run_hardware_export, run_hw

    if export is None:
        run_hw(json, output)
    else:
        run_hardware_export(export, output)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"soma-cp {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
