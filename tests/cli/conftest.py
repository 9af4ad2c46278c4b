"""The fixture that runs the command."""

from support.command_line import run

__all__ = ["run"]
