"""Reading YAML files of one object whose faults can be told with their lines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soma_cp.model.errors import UserError
from soma_cp.model.files import read_text

YAML_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class YamlObject:
    """The fields of a file.

    Parameters
    ----------
    fields
        By name, in the order of the file.
    lines
        The line of each, from 1.
    """

    fields: dict[str, Any]
    lines: dict[str, int]


def read_yaml(path: Path) -> YamlObject:
    """Read a YAML file that holds one object with fields, at any depth without a field given twice.

    Raises
    ------
    UserError
        If there is no such file, it can't be read, is not YAML, holds something else, or gives a field twice.
    """
    text = read_text(path)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}: holds no fields (must hold lines such as 'gbuf: 4 MiB')")
        _refuse_repeated_fields(node, path)
        fields: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            fields[str(key.value)] = loader.construct_object(value, deep=True)
            lines[str(key.value)] = key.start_mark.line + 1
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


def _refuse_repeated_fields(node: yaml.Node, path: Path) -> None:
    """YAML would silently keep the last value."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_fields(item, path)
    elif isinstance(node, yaml.MappingNode):
        known = set()
        for key, value in node.value:
            if key.value in known:
                line = key.start_mark.line + 1
                raise UserError(f"{path}: line {line}: the field '{key.value}' is given twice; keep one")
            known.add(key.value)
            _refuse_repeated_fields(value, path)
