"""Runs commands of `soma-cp` in forks of one process, which has loaded the package and its kernels.

A fork has its own folder, variables, arguments and streams, and nothing of what other commands leave in memory, as a
process of its own has; only the second or two that loading takes is spent once. ::

    python forked.py serve ADDRESS          prints a line when it is ready
    python -IS forked.py run ADDRESS WORDS  ends with the exit code of ``soma-cp WORDS``
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOADED = (
    *(f"soma_cp.cli.commands.{name}" for name in ("compare", "evaluate", "gap", "lists", "report", "solve")),
    "soma_cp.cli.reports.figure",
    "soma_cp.cli.reports.html.page",
    "soma_cp.model.network.onnx_import.checking",
    "soma_cp.solver.second_stage.exact",
)
"""What commands import when they run."""


@contextmanager
def server(address: Path) -> Iterator[None]:
    """Serve commands at the address of a socket, within the block."""
    serving = [sys.executable, __file__, "serve", str(address)]
    with subprocess.Popen(serving, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the server does not start"
            yield
        finally:
            process.kill()


def command(address: Path) -> list[str]:
    """Return the beginning of a command line that runs as ``soma-cp``."""
    return [sys.executable, "-IS", __file__, "run", str(address)]


def run(address: str, words: list[str]) -> int:
    """Run a command with the folder, variables and streams of this process; return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(json.dumps([words, os.getcwd(), dict(os.environ)]).encode())
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(16) or b"1")  # it may end at once, as after a signal


def serve(address: str) -> None:
    """Fork for each command."""
    import importlib

    for module in LOADED:
        importlib.import_module(module)
    from soma_cp.solver.warm_up import warm_up

    warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for forks
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                answer(connection)
            connection.close()


def answer(connection: socket.socket) -> None:
    """Run the command that a connection asks for, and end this fork."""
    from soma_cp.cli.main import main

    _, streams, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as file:
        words, folder, variables = json.load(file)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = variables.get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = ["soma-cp", *words]
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(end.code or 0).encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(run(sys.argv[2], sys.argv[3:]))
