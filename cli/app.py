"""The commands with their options, as typer takes them; each calls its module in `soma_cp.cli.commands`.

Nothing heavy is imported before a command needs it, so that ``--help`` and completion answer at once.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

try:
    import typer
except KeyboardInterrupt:  # Ctrl-C before there is anything to end
    sys.exit(130)

from soma_cp import __version__
from soma_cp.cli.command import HELP_NAMES, command, given_options
from soma_cp.cli.completion import example_names, network_names, platform_names, schema_names
from soma_cp.cli.formats import Format
from soma_cp.cli.option_groups import (
    CoccoOptions,
    HardwareOptions,
    LogOptions,
    OnnxWords,
    SearchOptions,
    StartOptions,
    TypeOptions,
)
from soma_cp.cli.options import (
    REPORT,
    RESULT,
    WORKERS,
    AdviseOption,
    BaselinesOption,
    BatchesOption,
    BatchOption,
    BlocksOption,
    EachTimeLimitOption,
    ExactOption,
    JsonOption,
    LfaOption,
    NetOption,
    NetsOption,
    NetworkArgument,
    NetworksArgument,
    ScheduleOutputOption,
    SeqOption,
    Stage2Option,
    StoredNetOption,
)
from soma_cp.cli.reports.formats import ReportFormat
from soma_cp.cli.schema_names import SCHEMA_NAMES, schema_name
from soma_cp.cli.sweep_figures import FIGURE_NAMES, FigureOptions, figure_name
from soma_cp.cli.sweep_formats import EXAMPLE_NAMES, SweepFormat, example_name
from soma_cp.model.errors import UserError
from soma_cp.solver.choices import FirstStage, usual_second_stage

app = typer.Typer(
    pretty_exceptions_enable=False,
    context_settings=HELP_NAMES,
    rich_markup_mode="rich",
    help="Schedules the DRAM communication of DNN accelerators: what is fused and tiled, and when every tensor "
    "moves between DRAM and the buffer.",
    epilog="Begin with: soma-cp solve gpt2-small  [dim](soma-cp COMMAND -h has the options and examples)[/dim]",
)

EACH_TIME_LIMIT = {"time_limit": EachTimeLimitOption}


@command(
    app,
    examples={
        "solve resnet50 --batch 4": "a schedule, and how far it is from the best possible",
        "solve model.onnx --dim seq=512 --hw board.yaml -o out.json": "your model on your hardware",
        "solve --fix-lfa fused.json -o best.json": "your layer fusion, the best second stage",
    },
)
def solve(
    *,
    context: typer.Context,
    network: NetworkArgument = None,
    net: NetOption = None,
    batch: BatchOption = 1,
    seq: SeqOption = None,
    blocks: BlocksOption = None,
    data_types: TypeOptions,
    hardware: HardwareOptions,
    onnx: OnnxWords,
    lfa: LfaOption = FirstStage.GREEDY.value,
    stage2: Stage2Option = None,
    exact: ExactOption = False,
    cocco: CoccoOptions,
    search: SearchOptions,
    starts: StartOptions,
    advise: AdviseOption = False,
    output: ScheduleOutputOption = None,
    json: JsonOption = False,
    log: LogOptions,
) -> None:
    """Find a schedule of a network and report how good it is."""
    from soma_cp.cli.commands.solve import SolveOptions, run_solve
    from soma_cp.cli.onnx_models import onnx_models

    if network is not None and net not in (None, network):
        raise UserError(f"two networks, {network} and --net {net}, but solve takes one; leave one out")
    given = given_options(context)
    named = network or net
    run_solve(
        SolveOptions(
            net=named,
            batch=batch,
            seq=seq,
            types=data_types,
            hardware=hardware,
            onnx=onnx_models([named], onnx),
            first_stage=lfa,
            second_stage=stage2 or usual_second_stage(lfa).value,
            cocco=cocco,
            search=search,
            starts=replace(starts, given=given if named is None else given | {"net"}),
            exact=exact,
            blocks=blocks,
            output=output,
            as_json=json,
            advise=advise,
            log=log,
        )
    )


@command(
    app,
    examples={
        "compare resnet50 gpt2-small": "one line a network: how far each second stage is from the bound",
        "compare --schedule mine.json": "every second stage on the layer fusion of a schedule",
        "compare resnet50 --batch 1 --batch 4 --format csv": "the same for several batches, as CSV",
        "compare resnet50 --baselines": "the Cocco baseline, the paper's search and the default",
    },
)
def compare(
    *,
    context: typer.Context,
    networks: NetworksArgument = None,
    net: NetsOption = None,
    batch: BatchesOption = None,
    seq: SeqOption = None,
    data_types: TypeOptions,
    schedule: Annotated[
        list[Path] | None,
        typer.Option(
            "--schedule",
            help="Take the LFA of this schedule file instead of searching; may be given several times.",
            rich_help_panel="Where the search begins",
        ),
    ] = None,
    hardware: HardwareOptions,
    onnx: OnnxWords,
    lfa: LfaOption = FirstStage.GREEDY.value,
    baselines: BaselinesOption = False,
    cocco: CoccoOptions,
    search: Annotated[SearchOptions, EACH_TIME_LIMIT],
    json: JsonOption = False,
    format: Annotated[
        Format | None, typer.Option("--format", help="Form of the result; a table by default.", rich_help_panel=RESULT)
    ] = None,
    log: LogOptions,
) -> None:
    """Compare double buffering, greedy, SA and CP-SAT on the same LFA, for one or several networks."""
    from soma_cp.cli.commands.compare import CompareOptions, run_compare
    from soma_cp.cli.formats import format_from
    from soma_cp.cli.onnx_models import onnx_models

    nets = [*(networks or ()), *(net or ())]
    run_compare(
        CompareOptions(
            nets=nets,
            schedules=schedule or [],
            batches=batch or [],
            seq=seq,
            types=data_types,
            hardware=hardware,
            onnx=onnx_models(nets, onnx),
            first_stage=lfa,
            cocco=cocco,
            baselines=baselines,
            given=given_options(context),
            search=search,
            format=format_from(format, json),
            log=log,
        )
    )


@command(
    app,
    examples={
        "gap resnet50": "from double buffering to the bound over every layer fusion",
        "gap resnet50 gpt2-small --batch 1 --batch 4": "several ladders",
        "gap resnet50 --format markdown": "as a table for a page",
    },
)
def gap(
    *,
    networks: NetworksArgument = None,
    net: NetsOption = None,
    batch: BatchesOption = None,
    seq: SeqOption = None,
    data_types: TypeOptions,
    hardware: HardwareOptions,
    onnx: OnnxWords,
    search: Annotated[SearchOptions, EACH_TIME_LIMIT],
    json: JsonOption = False,
    format: Annotated[
        Format | None, typer.Option("--format", help="Form of the ladders; a table by default.", rich_help_panel=RESULT)
    ] = None,
    log: LogOptions,
) -> None:
    """Report how far from the best possible: the ladder from double buffering to the bound over every LFA."""
    from soma_cp.cli.commands.gap import GapOptions, run_gap
    from soma_cp.cli.formats import format_from
    from soma_cp.cli.onnx_models import onnx_models

    nets = [*(networks or ()), *(net or ())]
    run_gap(
        GapOptions(
            nets=nets,
            batches=batch or [1],
            seq=seq,
            types=data_types,
            hardware=hardware,
            onnx=onnx_models(nets, onnx),
            search=search,
            format=format_from(format, json),
            log=log,
        )
    )


@command(
    app,
    examples={
        "sweep --example fig7-quick > fig7.yaml": "a ready file: buffer against bandwidth",
        "sweep fig7.yaml -o fig7.db --csv fig7.csv": "run what is missing; the same command goes on",
        "sweep -o fig7.db --report out": "figures, tables and claims from what is stored",
        "sweep -o fig7.db --export 3c0a77d1 > point.json": "the schedule of one point",
    },
)
def sweep(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A YAML file that says what to vary.", show_default=False)
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The store of results; made if there is none.", metavar="STORE", show_default=False
        ),
    ] = None,
    example: Annotated[
        str | None,
        typer.Option(
            "--example",
            help=f"Print a ready file: {', '.join(EXAMPLE_NAMES)}.",
            metavar="NAME",
            autocompletion=example_names,
        ),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option("--export", help="Print the schedule file of the result with this key.", metavar="KEY"),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Processes, one thread each; all cores by default.", rich_help_panel=WORKERS),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", help="Memory that each process may use, such as 4GiB.", rich_help_panel=WORKERS),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            help="Run on the cluster of this dask scheduler instead.",
            metavar="ADDRESS",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again what is stored as failed.", rich_help_panel=WORKERS)
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write all rows to this CSV file.", metavar="FILE", rich_help_panel=RESULT),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", help="Write all rows to this JSON file.", metavar="FILE", rich_help_panel=RESULT),
    ] = None,
    format: Annotated[
        SweepFormat,
        typer.Option(
            "--format", help="Columns of the CSV: ours, or those of the published program.", rich_help_panel=RESULT
        ),
    ] = SweepFormat.CSV,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Write figures, tables, claims and a page into this folder.",
            metavar="DIR",
            rich_help_panel=REPORT,
        ),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option(
            "--figure",
            help=f"Write this figure alone: {', '.join(FIGURE_NAMES)}.",
            metavar="NAME",
            rich_help_panel=REPORT,
        ),
    ] = None,
    x: Annotated[
        str | None, typer.Option("--x", help="Column along the figure.", metavar="COLUMN", rich_help_panel=REPORT)
    ] = None,
    y: Annotated[
        str | None,
        typer.Option(
            "--y", help="Column up the figure; what has its own line or bar.", metavar="COLUMN", rich_help_panel=REPORT
        ),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            "--value",
            help="Column that is shown; of a front its columns, with commas.",
            metavar="COLUMN",
            rich_help_panel=REPORT,
        ),
    ] = None,
    cost: Annotated[
        float | None,
        typer.Option(
            "--cost",
            help="Of fronts: mark the least buffer bytes + ALPHA · energy (pJ); Cocco takes 0.0024.",
            metavar="ALPHA",
            min=0.0,
            rich_help_panel=REPORT,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", help="Report rows with this value alone.", metavar="COLUMN=VALUE", rich_help_panel=REPORT
        ),
    ] = None,
    log: LogOptions,
) -> None:
    """Solve every point of a grid by several methods, keep each result, and go on where it stopped."""
    from soma_cp.cli.commands.sweep import SweepOptions, run_sweep_command

    run_sweep_command(
        SweepOptions(
            file=file,
            store=store,
            example=None if example is None else example_name(example),
            export=export,
            jobs=jobs,
            dask=dask,
            memory=memory,
            retry_failed=retry_failed,
            csv=csv,
            json=json,
            format=format,
            report=report,
            drawn=FigureOptions(None if figure is None else figure_name(figure), x, y, value, cost, tuple(only or ())),
            log=log,
        )
    )


@command(
    app,
    examples={
        "evaluate out.json": "every figure again, and every rule checked",
        "evaluate out.json --json": "the same as JSON",
        "evaluate theirs.json --net model.onnx": "a schedule that only names its network",
    },
)
def evaluate(
    *,
    schedule: Annotated[Path, typer.Argument(help="A schedule file.", show_default=False)],
    net: StoredNetOption = None,
    onnx: OnnxWords,
    json: JsonOption = False,
) -> None:
    """Recompute a stored schedule and report it, or refuse it with the rule that it breaks."""
    from soma_cp.cli.commands.evaluate import run_evaluate
    from soma_cp.cli.onnx_models import onnx_models

    run_evaluate(schedule, net, json, onnx_models([net], onnx))


@command(
    app,
    examples={
        "report out.json -o out.html": "a page for the browser: zoom, hover, click",
        "report before.json after.json -o both.html": "two schedules on one time axis",
        "report out.json -o out.svg --double-buffering": "a picture, double buffering before it",
    },
)
def report(
    *,
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
    net: StoredNetOption = None,
    onnx: OnnxWords,
) -> None:
    """Show schedules as a page (html), tables (csv), a trace for ui.perfetto.dev (perfetto), or as svg, png, pdf."""
    from soma_cp.cli.commands.report import ReportOptions, run_report
    from soma_cp.cli.onnx_models import onnx_models

    run_report(ReportOptions(schedules, net, double_buffering, format, output, onnx_models([net], onnx)))


@command(
    app,
    examples={
        "nets": "the built-in networks and their sizes",
        "nets --export resnet50 -o mine.json": "a network file to start your own from",
        "nets --check model.onnx": "what every node of a model becomes",
    },
)
def nets(
    *,
    export: Annotated[
        str | None,
        typer.Option(
            "--export",
            help="Write this network as a network file, to start your own from.",
            metavar="NET",
            autocompletion=network_names,
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", help="Report what every node of this ONNX model becomes.", metavar="MODEL.onnx"),
    ] = None,
    seq: SeqOption = None,
    data_types: TypeOptions,
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
    onnx: OnnxWords,
) -> None:
    """List the built-in networks, export one, or check an ONNX model."""
    from soma_cp.cli.commands.lists import checked_choice, run_check, run_export, run_nets
    from soma_cp.cli.formats import format_from
    from soma_cp.cli.onnx_models import onnx_models

    checked_choice(export, check, format)
    models = onnx_models([export, check], onnx)
    if check is not None:
        run_check(check, seq, data_types, output, divide, models, format_from(format, json))
    elif export is None:
        run_nets(json, seq, data_types, output, divide)
    else:
        run_export(export, seq, output, models, divide, data_types)


@command(
    app,
    examples={
        "hw": "the built-in platforms",
        "hw --export edge -o board.yaml": "a hardware file to change",
        "hw --json": "every field of every platform",
    },
)
def hw(
    export: Annotated[
        str | None,
        typer.Option(
            "--export", help="Write the hardware file of this platform, to change it.", autocompletion=platform_names
        ),
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


@command(
    app,
    examples={
        "schema network": "what a network file may hold",
        "schema hardware -o hardware.schema.json": "for an editor that checks and completes hardware files",
        "schema result": "what solve, compare, gap, evaluate and others print with --json",
    },
)
def schema(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help=f"What it describes: {', '.join(SCHEMA_NAMES)}.",
            show_default=False,
            autocompletion=schema_names,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, instead of printing the schema.")
    ] = None,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a kind of files, or of what --json prints."""
    from soma_cp.cli.commands.schema import run_schema

    run_schema(schema_name(what), output)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"soma-cp {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
