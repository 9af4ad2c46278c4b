"""The log of a search: on stderr with ``--verbose``, in the file of ``--log-file`` (docs/reading-the-output.md#log)."""

import logging
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from soma_cp import __version__
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.cli.option_groups import LogOptions
from soma_cp.model.errors import SomaError, UserError

LOG = logging.getLogger("soma_cp.cli")
_FORM = logging.Formatter("%(asctime)s %(message)s")


class _File(logging.FileHandler):
    """Says once on stderr that the file takes no more, and lets the search go on."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.failed:
            print(f"soma-cp: warning: the log file '{self.baseFilename}' can't be written to any more", file=sys.stderr)
        self.failed = True


@contextmanager
def run_log(options: LogOptions) -> Iterator[None]:
    """Within the block, log where the options say; an error that ends the block is the last line of the file.

    Raises
    ------
    UserError
        If the file can't be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if options.verbose else []
    file = None if options.log_file is None else _opened(options.log_file)
    if file is not None:
        handlers.append(file)
    if not handlers:
        yield
        return
    # Imported late: commands that never log import this module, too.
    from soma_cp.solver.provenance import LIBRARIES

    for handler in handlers:
        handler.setFormatter(_FORM)
        LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.info("soma-cp %s: %s", __version__, shlex.join(sys.argv[1:]))
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    LOG.info("Python %s, %s", platform.python_version(), libraries)
    try:
        yield
    except (SomaError, KeyboardInterrupt) as error:
        if file is not None:  # stderr gets it anyway
            said = str(error) or "interrupted"
            file.handle(LOG.makeRecord(LOG.name, logging.ERROR, "", 0, "ended by an error: %s", (said,), None))
        raise
    finally:
        for handler in handlers:
            LOG.removeHandler(handler)
        if file is not None:
            with suppress(OSError):  # the rest of a full file, which has said so
                file.close()


def logs_to_stderr() -> bool:
    """Return whether lines of a log go to stderr, where no other line can be kept up to date."""
    return any(not isinstance(handler, _File) for handler in LOG.handlers)


def _opened(path: Path) -> _File:
    try:
        return _File(path, mode="w", encoding="utf-8")
    except OSError as error:
        said = str(error.strerror)
        raise UserError(
            f"--log-file {path}: {said[:1].lower()}{said[1:]}; name a file in a folder that can be written"
        ) from error


class LoggedProgress:
    """Logs where a search begins another stage, and each better schedule or bound."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()

    def update(self, event: ProgressEvent) -> None:
        """Log the event, unless it says what the last line does."""
        news = (event.iteration, event.stage, event.best_cost, event.latency, event.lower_bound, event.cost_bound)
        if news == self._told:
            return
        self._told = news
        figures = (
            ("iteration", event.iteration or None, "d"),
            ("rounds", event.rounds_done or None, ",d"),
            ("best cost", event.best_cost, ".6g"),
            ("latency", event.latency, ",d"),
            ("bound", event.lower_bound, ",d"),
            ("bound on the cost", event.cost_bound, ".6g"),
        )
        said = [f"{name} {value:{form}}" for name, value, form in figures if value is not None]
        LOG.info("%s", ": ".join((event.stage, ", ".join(said))) if said else event.stage)
