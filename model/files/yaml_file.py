"""Reads YAML files of one object, with the line of each value for error messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import read_text

YAML_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Lines:
    """Where an object, a list or a value stands in its file.

    Parameters
    ----------
    line
        Its first line, from 1; 0 for the whole file, and for values that come from no YAML file.
    fields
        Of an object: where its fields stand, by name.
    items
        Of a list: where its items stand.
    """

    line: int = 0
    fields: Mapping[str, "Lines"] = field(default_factory=dict)
    items: Sequence["Lines"] = ()

    def place(self, problem: str) -> str:
        """Return the line that `problem` is about, as ``line 5: ``; empty if there is none.

        It is the line of the field that the sentence begins with; else the line of the object.
        """
        begun = (
            lines.line
            for name, lines in self.fields.items()
            if problem.startswith((f"{name}=", f"{name} ", f'"{name}" '))
        )
        line = next(begun, self.line)
        return f"line {line}: " if line else ""


@dataclass(frozen=True)
class YamlObject:
    """The fields of a file.

    Parameters
    ----------
    fields
        By name, in the order of the file.
    lines
        Where the fields and their values stand.
    """

    fields: dict[str, Any]
    lines: Lines


def read_yaml(path: Path) -> YamlObject:
    """Read a YAML file that holds one object with fields; at no depth may a field be given twice.

    Raises
    ------
    UserError
        If the file does not exist, can't be read, is not YAML, holds no object, or gives a field twice.
    """
    text = read_text(path)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}: holds no fields (must hold lines such as 'version: 1')")
        lines = Lines(fields=_field_lines(node, path))
        fields = {str(key.value): loader.construct_object(value, deep=True) for key, value in node.value}
    except UserError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise UserError(f"{path}: {place}not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not usable YAML: {said}") from None
    finally:
        loader.dispose()
    return YamlObject(fields, lines)


def _lines(node: yaml.Node, line: int, path: Path) -> Lines:
    if isinstance(node, yaml.SequenceNode):
        return Lines(line, items=[_lines(item, item.start_mark.line + 1, path) for item in node.value])
    if isinstance(node, yaml.MappingNode):
        return Lines(line, _field_lines(node, path))
    return Lines(line)


def _field_lines(node: yaml.MappingNode, path: Path) -> dict[str, Lines]:
    """Return the lines of an object's fields; refuse a field given twice: YAML would silently keep the last value."""
    fields: dict[str, Lines] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{path}: line {line}: a list or an object in place of a field's name (must be text)")
        if key.value in fields:
            raise UserError(f"{path}: line {line}: the field '{key.value}' is given twice; keep one")
        fields[key.value] = _lines(value, line, path)
    return fields
