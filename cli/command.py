"""How commands are declared: options in groups, examples in ``--help``, and no option that is given twice.

A command is a function whose parameters are what typer takes, or dataclasses of it: an `option group`. The fields of a
group become options of their own, and the function gets the group whole.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from soma_cp.model.errors import UserError

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command that refuses a repeated option instead of taking the last one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse what is given twice, then parse as ever."""
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for parameter in order:
                takes_one = parameter.param_type_name == "option" and not (
                    parameter.multiple or getattr(parameter, "is_flag", False)
                )
                times = order.count(parameter)
                if takes_one and times > 1:
                    raise UserError(f"{parameter.opts[0]} is given {times} times, but takes one value; keep one")
        return list(super().parse_args(ctx, args))


def command(app: typer.Typer, examples: Mapping[str, str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command of `app`.

    Parameters
    ----------
    app
        The application.
    examples
        What ``--help`` ends with: what for, by the words to type after ``soma-cp``.
    """
    lines = [f"soma-cp {words}  [dim]# {what}[/dim]" for words, what in examples.items()]

    def register(function: Callable[..., None]) -> Callable[..., None]:
        epilog = "\n\n".join(["[bold]Examples[/bold]", *lines])
        app.command(cls=Command, epilog=epilog, context_settings=HELP_NAMES)(_with_options_of_groups(function))
        return function

    return register


def given_options(context: typer.Context) -> frozenset[str]:
    """Return the names of the parameters that are given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")


def _with_options_of_groups(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that takes the fields of the groups of `function` one by one."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, tuple[type, list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        group, replaced = _group_of(hints[name])
        if group is None:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            options = list(_options_of(group, replaced))
            groups[name] = group, [option.name for option in options]
            parameters += options

    @wraps(function)
    def run(**given: Any) -> None:
        for name, (group, options) in groups.items():
            given[name] = group(**{option: given.pop(option) for option in options})
        function(**given)

    del run.__wrapped__  # typer would take its signature
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _group_of(hint: Any) -> tuple[type | None, Mapping[str, Any]]:
    """Return the group that a parameter is annotated with, and what replaces the annotations of its fields."""
    if get_origin(hint) is Annotated and is_dataclass(get_args(hint)[0]):
        group, replaced = get_args(hint)
        return group, replaced
    return (hint, {}) if isinstance(hint, type) and is_dataclass(hint) else (None, {})


def _options_of(group: type, replaced: Mapping[str, Any]) -> Iterator[inspect.Parameter]:
    """Yield a parameter for each field of a group that is an option."""
    hints = get_type_hints(group, include_extras=True) | dict(replaced)
    for field in fields(group):
        if get_origin(hints[field.name]) is Annotated:
            yield inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
            )
