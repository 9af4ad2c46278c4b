"""The entry point: errors become a sentence on stderr and an exit code."""

import io
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from soma_cp.cli.app import app
from soma_cp.cli.interrupts import EXIT_AT_ONCE, exit_code
from soma_cp.cli.streams import ReaderGoneError, StdoutError, prepare_streams
from soma_cp.model.errors import InternalError, UserError

EXIT_USER_ERROR = 2
EXIT_INTERNAL_ERROR = 1
TRACEBACK_VARIABLE = "SOMA_CP_TRACEBACK"


def main() -> None:
    """Run the command line; every error ends in a sentence on stderr and an exit code."""
    prepare_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no "×" shows "?"
    try:
        code = app(prog_name="soma-cp", standalone_mode=False)
        sys.stdout.flush()
    except StdoutError as error:
        _drop_stdout()
        _fail(str(error), EXIT_USER_ERROR)
    except UserError as error:
        if error.__cause__ is not None and os.environ.get(TRACEBACK_VARIABLE):  # what a plug-in raised
            traceback.print_exception(error.__cause__)
        _fail(str(error), EXIT_USER_ERROR)
    except InternalError as error:
        _fail(f"internal error, please report it: {error}", EXIT_INTERNAL_ERROR)
    except KeyboardInterrupt:
        _end_at_once()
    except ReaderGoneError:  # it has read what it wanted
        _drop_stdout()
        sys.exit(exit_code(0))
    except MemoryError:
        _fail("out of memory; lower the batch, or take a smaller network", EXIT_USER_ERROR)
    except Exception as error:
        if hasattr(error, "format_message"):  # an error of the command line's parser
            _fail(_usage_text(error), EXIT_USER_ERROR)
        _fail(_unforeseen_text(error), EXIT_INTERNAL_ERROR)
    if code == EXIT_AT_ONCE:  # the parser's way of passing on a KeyboardInterrupt
        _end_at_once()
    sys.exit(exit_code(0))


def _drop_stdout() -> None:
    """Let the interpreter write the rest of stdout to nowhere when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_text(error: Any) -> str:
    """Say in one sentence what the parser objects to."""
    message = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "soma-cp"
    return f"{message[:1].lower()}{message[1:]}; see '{command} --help'"


def _unforeseen_text(error: Exception) -> str:
    """Say in one sentence what went wrong where; print the traceback if the variable asks for it."""
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    said = " ".join(str(error).split())
    return (
        f"internal error, please report it: {type(error).__name__}{where}{': ' if said else ''}{said} "
        f"({TRACEBACK_VARIABLE}=1 shows the traceback)"
    )


def _end_at_once() -> None:
    """End without waiting for solver threads that may still run."""
    print("soma-cp: interrupted", file=sys.stderr, flush=True)
    os._exit(exit_code(EXIT_AT_ONCE))


def _fail(message: str, code: int) -> NoReturn:
    print(f"soma-cp: {message}", file=sys.stderr)
    sys.exit(code)
