"""The ``soma-cp`` command: parses, calls and prints.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from soma_cp import __version__
from soma_cp.model.errors import InternalError, UserError
from soma_cp.solver.choices import Stage2

EXIT_USER_ERROR = 2
EXIT_INTERNAL_ERROR = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Schedules the DRAM communication of DNN accelerators: what is fused and tiled, and when every tensor "
    "moves between DRAM and the buffer.",
)

NetOption = Annotated[
    str,
    typer.Option("--net", help="Built-in network (see 'soma-cp nets') or network file (JSON).", show_default=False),
]
BatchOption = Annotated[int, typer.Option("--batch", help="Samples that run together.")]
SeqOption = Annotated[
    int | None,
    typer.Option("--seq", help="Tokens: prompt length (prefill) or cached tokens (decode) of a GPT-2 network."),
]
HardwareOption = Annotated[
    str | None,
    typer.Option("--hw", help="edge, cloud or a hardware file (JSON); by default the network's usual platform."),
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


@app.command()
def solve(
    net: NetOption,
    batch: BatchOption = 1,
    seq: SeqOption = None,
    hw: HardwareOption = None,
    stage2: Annotated[
        Stage2,
        typer.Option("--stage2", help="Second stage: exact, annealing, one greedy pass, or double buffering only."),
    ] = Stage2.CPSAT,
    energy_exponent: EnergyExponentOption = 1.0,
    delay_exponent: DelayExponentOption = 1.0,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Seconds for everything; 0 for no limit.")
    ] = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    deterministic: DeterministicOption = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the whole schedule to this JSON file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find a schedule of a network and say how good it is."""
    from soma_cp.cli.solve_command import SolveOptions, run_solve

    run_solve(
        SolveOptions(
            net=net,
            batch=batch,
            seq=seq,
            hardware=hw,
            stage2=stage2,
            energy_exponent=energy_exponent,
            delay_exponent=delay_exponent,
            time_limit=time_limit,
            seed=seed,
            workers=workers,
            deterministic=deterministic,
            output=output,
            as_json=json,
        )
    )


@app.command()
def compare(
    net: Annotated[
        str | None, typer.Option("--net", help="Built-in network or network file (JSON).", show_default=False)
    ] = None,
    schedule: Annotated[
        Path | None,
        typer.Option("--schedule", help="Take the LFA of this schedule file instead of searching for one."),
    ] = None,
    batch: BatchOption = 1,
    seq: SeqOption = None,
    hw: HardwareOption = None,
    energy_exponent: EnergyExponentOption = 1.0,
    delay_exponent: DelayExponentOption = 1.0,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Seconds for each second stage; 0 for no limit.")
    ] = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    deterministic: DeterministicOption = False,
    json: JsonOption = False,
) -> None:
    """Compare double buffering, greedy, SA and CP-SAT on the same LFA."""
    from soma_cp.cli.compare_command import CompareOptions, run_compare

    run_compare(
        CompareOptions(
            net=net,
            schedule=schedule,
            batch=batch,
            seq=seq,
            hardware=hw,
            energy_exponent=energy_exponent,
            delay_exponent=delay_exponent,
            time_limit=time_limit,
            seed=seed,
            workers=workers,
            deterministic=deterministic,
            as_json=json,
        )
    )


@app.command()
def evaluate(
    schedule: Annotated[Path, typer.Argument(help="A schedule file.", show_default=False)],
    net: Annotated[
        Path | None, typer.Option("--net", help="Network file, if the schedule's network is not built in.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Recompute a stored schedule and report it, or refuse it with the rule that it breaks."""
    from soma_cp.cli.evaluate_command import run_evaluate

    run_evaluate(schedule, net, json)


@app.command()
def nets(json: JsonOption = False) -> None:
    """List the built-in networks."""
    from soma_cp.cli.list_commands import run_nets

    run_nets(json)


@app.command()
def hw(json: JsonOption = False) -> None:
    """List the built-in platforms."""
    from soma_cp.cli.list_commands import run_hw

    run_hw(json)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"soma-cp {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; every error that is foreseen ends in one sentence and an exit code."""
    try:
        app(prog_name="soma-cp")
    except UserError as error:
        _fail(str(error), EXIT_USER_ERROR)
    except InternalError as error:
        _fail(f"internal error, please report it: {error}", EXIT_INTERNAL_ERROR)
    except KeyboardInterrupt:
        _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe went away: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_INTERNAL_ERROR)


def _fail(message: str, code: int) -> None:
    print(f"soma-cp: {message}", file=sys.stderr)
    sys.exit(code)
