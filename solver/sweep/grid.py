"""Reads the file of a sweep, which says what to vary; makes its points (docs/sweeps.md#the-file).

The reader reports all faults of what stands in the file at once, then those of the networks and platforms that it
names, each in one sentence: file, line, what was found, what is allowed.
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.errors import FileFaultsError, UserError, nearest_name_hint
from soma_cp.model.files.forms import Form, Name, form_problems, means, shown
from soma_cp.model.files.yaml_file import Lines, YamlObject, read_yaml
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS, platform_from
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.platform_file import with_fields
from soma_cp.model.network.builtin.catalogue import ALIASES, built_in, builtin_names, usual_platform
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.options import DEFAULT_OPTIONS, OnnxOptions, Present, Role, Types
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.network.rewrites.types import with_named_types
from soma_cp.model.network.sources import FILE_ENDINGS, is_onnx, load_network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.solver.sweep.axes import HARDWARE_AXES, RULE_AXES, axis_problems, axis_values
from soma_cp.solver.sweep.methods import METHODS, has_rule
from soma_cp.solver.sweep.point import Point

VERSION = 1
MOST_POINTS = 100_000
MOST_EFFORT = 1000.0
_TYPES = ("weights", "activations", "accumulators", "weight_ratio")
_Combination = dict[str, Any]
"""A value for each axis."""


class SweepFileError(FileFaultsError):
    """A file of a sweep with faults."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a file asks for.

    Parameters
    ----------
    name
        Of the sweep.
    methods
        In the order of `METHODS`.
    points
        All different, in the order of the file.
    notes
        One sentence for each approximation in how networks were read.
    """

    name: str
    methods: tuple[str, ...]
    points: tuple[Point, ...]
    notes: tuple[str, ...] = ()


_NO_DICT: Any = Field(default_factory=dict)
_NO_LIST: Any = Field(default_factory=list)


class _SweepForm(Form):
    version: Annotated[int, Field(ge=VERSION, le=VERSION, description=f"{VERSION}"), means("version of the format")]
    name: Annotated[Name, means("name of the sweep")]
    methods: Annotated[
        list[str], Field(min_length=1, description=f"a list of {', '.join(METHODS)}"), means("how points are solved")
    ]
    grid: Annotated[dict[str, Any], Field(description="axes"), means("axes of all cases")] = _NO_DICT
    cases: Annotated[list[dict[str, Any]], Field(description="a list of objects with axes"), means("more axes")] = (
        _NO_LIST
    )
    seeds: Annotated[list[int], Field(description="a list of whole numbers"), means("the axis seed")] = _NO_LIST
    limits: Annotated[
        dict[str, Any], Field(description="an object with rounds or seconds"), means("when searches end")
    ] = _NO_DICT
    onnx: Annotated[dict[str, Any], Field(description="an object"), means("how ONNX models are read")] = _NO_DICT


class _LimitsForm(Form):
    rounds: Annotated[
        Any, Field(description=f"default, or a share of it such as 0.1, at most {MOST_EFFORT:g}"), means("of searches")
    ] = "default"
    seconds: Annotated[
        float | None, Field(gt=0, strict=False, description="a number above 0"), means("wall-clock time of a run")
    ] = None


class _OnnxForm(Form):
    dims: Annotated[dict[str, int], Field(description="whole numbers by name")] = _NO_DICT
    ends: Annotated[list[str], Field(description="a list of names")] = _NO_LIST
    batch_axes: Annotated[dict[str, int | None], Field(description="axes by input, or null")] = _NO_DICT
    layouts: Annotated[dict[str, str], Field(description="letters by input, such as NHWC")] = _NO_DICT
    roles: Annotated[
        dict[str, Annotated[Role, Field(strict=False)]],
        Field(description=f"by input one of {', '.join(role.value for role in Role)}"),
    ] = _NO_DICT
    present: Annotated[Present, Field(strict=False, description=" or ".join(one.value for one in Present))] = (
        Present.WHOLE
    )
    types: Annotated[Types, Field(strict=False, description=", ".join(one.value for one in Types))] = Types.AUTO
    ignore_unsupported: Annotated[bool, Field(description="true or false")] = False


def read_sweep(path: Path) -> Sweep:
    """Read the file of a sweep; paths in it are relative to its folder.

    Raises
    ------
    UserError
        If the file can't be read or is not YAML.
    SweepFileError
        If it describes no sweep; the error lists all faults.
    """
    return sweep_from(read_yaml(path), str(path), path.parent)


def sweep_from(found: YamlObject, where: str, folder: Path) -> Sweep:
    """Make a sweep of a parsed file.

    Parameters
    ----------
    found
        The fields of the file.
    where
        Name of the file, for error messages.
    folder
        What paths of networks and platforms are relative to.

    Raises
    ------
    SweepFileError
        If it describes no sweep; the error lists all faults.
    """
    problems = list(_problems(found))
    if problems:
        raise SweepFileError([f"{where}: {problem}" for problem in problems])
    form = _SweepForm.model_validate(found.fields)
    limits = _LimitsForm.model_validate(form.limits)
    onnx = OnnxOptions(**dict(_OnnxForm.model_validate(form.onnx))) if form.onnx else DEFAULT_OPTIONS
    making = _Making(folder, onnx)
    effort = 1.0 if limits.rounds == "default" else float(limits.rounds)
    points: dict[str, Point] = {}
    faults: dict[str, None] = {}
    for line, combination in _combinations(form, found.lines):
        try:
            point = replace(making.point(combination), effort=effort, seconds=limits.seconds)
        except UserError as error:
            faults[f"{where}: {line}{' '.join(str(error).split())}"] = None
        else:
            points.setdefault(point.key("", {}), point)
    if faults:
        raise SweepFileError(list(faults))
    methods = tuple(method for method in METHODS if method in form.methods)
    return Sweep(form.name, methods, tuple(points.values()), tuple(making.notes))


def _problems(found: YamlObject) -> Iterator[str]:
    """Yield a sentence for each fault that shows without reading another file."""
    fields, lines = found.fields, found.lines
    yield from (lines.place(fault) + fault for fault in _form_faults(_SweepForm, fields))
    for name, form in (("limits", _LimitsForm), ("onnx", _OnnxForm)):
        inner = fields.get(name)
        if isinstance(inner, dict):
            at = lines.fields[name]
            yield from (f"{at.place(fault)}{name}: {fault}" for fault in _form_faults(form, inner))
    yield from _limits_problems(fields.get("limits"), lines)
    methods = fields.get("methods")
    for method in methods if isinstance(methods, list) else []:
        if method not in METHODS:
            hint = nearest_name_hint(str(method), METHODS)
            yield f"{lines.place('methods ')}methods: {shown(method)} (must be one of {', '.join(METHODS)}){hint}"
    count, cases = 0, fields.get("cases")
    grid = fields.get("grid")
    faulty = False
    for label, axes, at in _axes_of(grid, cases, lines):
        for name, values in axes.items():
            for fault in axis_problems(str(name), values):
                faulty = True
                yield f"{at.place(fault) or at.place(f'{name} ')}{label}: {fault}"
    named = [axes for _, axes, _ in _axes_of(grid, cases, lines)]
    yield from _rule_problems(methods, named, lines)
    if not any("net" in axes for axes in named):
        yield "no axis net (must be in grid or in each case)"
    if fields.get("seeds") and any("seed" in axes for axes in named):
        yield f"{lines.place('seeds ')}seeds and the axis seed are both given; keep one"
    for problem in [] if faulty else axis_problems("seed", fields.get("seeds") or 0):
        yield f"{lines.place('seeds ')}seeds: {problem}"
    if not faulty:
        shared = grid if isinstance(grid, dict) else {}
        each = [case for case in cases if isinstance(case, dict)] if isinstance(cases, list) and cases else [{}]
        count = sum(_count({**shared, **case}) for case in each) * max(len(fields.get("seeds") or [0]), 1)
        if count > MOST_POINTS:
            yield f"{count:,} points (at most {MOST_POINTS:,}); divide the sweep into several files"


def _form_faults(form: type[Form], fields: Mapping[str, Any]) -> list[str]:
    try:
        form.model_validate(dict(fields))
    except ValidationError as error:
        return list(form_problems(error, form, fields))
    return []


def _limits_problems(limits: object, lines: Lines) -> Iterator[str]:
    if not isinstance(limits, dict):
        return
    at = lines.fields["limits"]
    rounds = limits.get("rounds", "default")
    is_share = isinstance(rounds, int | float) and not isinstance(rounds, bool) and 0 < rounds <= MOST_EFFORT
    if rounds != "default" and not is_share:
        allowed = _LimitsForm.model_fields["rounds"].description
        yield f"{at.place('rounds ')}limits: rounds={shown(rounds)} (must be {allowed})"


def _rule_problems(methods: object, named: Sequence[Mapping[str, Any]], lines: Lines) -> Iterator[str]:
    """Yield a sentence for each axis that none of the methods uses, if all are known."""
    listed = methods if isinstance(methods, list) else []
    if not listed or any(method not in METHODS or has_rule(method) for method in listed):
        return
    users = " or ".join(method for method in METHODS if has_rule(method))
    for name in RULE_AXES:
        if any(name in axes for axes in named):
            yield f"{lines.place('methods ')}no method uses the axis {name} (must be {users}); add one, or leave it out"


def _axes_of(grid: object, cases: object, lines: Lines) -> Iterator[tuple[str, dict[str, Any], Lines]]:
    """Yield the objects with axes, with what each is called and where it stands."""
    if isinstance(grid, dict):
        yield "grid", grid, lines.fields["grid"]
    for number, case in enumerate(cases if isinstance(cases, list) else []):
        if isinstance(case, dict):
            yield f"case {number + 1}", case, lines.fields["cases"].items[number]


def _count(axes: Mapping[str, Any]) -> int:
    count = 1
    for values in axes.values():
        count *= len(axis_values(values))
    return count


def _combinations(form: _SweepForm, lines: Lines) -> Iterator[tuple[str, _Combination]]:
    """Yield the products of each case with the grid, and the line of the case; its axes replace those of the grid."""
    grid = form.grid | ({"seed": form.seeds} if form.seeds else {})
    for number, case in enumerate(form.cases or [{}]):
        axes = {**grid, **case}
        at = lines.fields["cases"].items[number] if form.cases else lines
        values = [axis_values(axes[name]) for name in axes]
        for combination in itertools.product(*values):
            yield at.place("") or lines.place("grid "), dict(zip(axes, combination, strict=True))


class _Making:
    """Makes points; each network and each platform is read once."""

    def __init__(self, folder: Path, onnx: OnnxOptions) -> None:
        self.folder = folder
        self.onnx = onnx
        self.notes: dict[str, None] = {}
        self._networks: dict[tuple[Any, ...], Network] = {}
        self._platforms: dict[str, Platform] = {}

    def point(self, of: _Combination) -> Point:
        """Return the point of a combination, with the usual limits."""
        if "net" not in of:
            raise UserError("a case without the axis net (must be in grid or in each case)")
        base = self._network(of["net"], of.get("seq"), tuple(of.get(name) for name in _TYPES))
        network = base if of.get("blocks") is None else blocks_in_a_row(base, of["blocks"])
        platform = self._platform(of.get("hw") or usual_platform(network))
        fields = {HARDWARE_AXES[name]: value for name, value in of.items() if name in HARDWARE_AXES}
        if fields:
            platform = with_fields(platform, fields, "hw")
        objective = Objective(float(of.get("energy_exponent", 1.0)), float(of.get("delay_exponent", 1.0)))
        if objective.energy_exponent == objective.delay_exponent == 0:
            raise UserError("energy_exponent and delay_exponent are both 0: nothing is left to minimise; raise one")
        return Point(
            Problem(network, platform, of.get("batch", 1)),
            net=base.name,
            objective=objective,
            seed=of.get("seed", 0),
            tiling=TilingRule(of.get("tiling", Point.tiling)),
            uncapped=of.get("uncapped", Point.uncapped),
            seq=of.get("seq") or _usual_tokens(of["net"]),
            blocks_in_a_row=of.get("blocks") or 1,
        )

    def _network(self, spec: str, tokens: int | None, types: tuple[Any, ...]) -> Network:
        key = (spec, tokens, types)
        if key not in self._networks:
            named = self._path(spec) if is_onnx(spec) or spec.lower().endswith(FILE_ENDINGS) or "/" in spec else spec
            loaded = load_network(named, tokens, self.onnx if is_onnx(named) else DEFAULT_OPTIONS)
            self.notes |= dict.fromkeys(f"{spec}: {note}" for note in loaded.notes)
            given = dict(zip(_TYPES, types, strict=True))
            network = loaded.network
            self._networks[key] = network if set(types) == {None} else with_named_types(network, **given)
        return self._networks[key]

    def _path(self, spec: str) -> str:
        return os.path.join(self.folder, spec)

    def _platform(self, spec: str) -> Platform:
        if spec not in self._platforms:
            is_file = spec not in PLATFORMS and os.path.exists(self._path(spec))
            platform = platform_from(self._path(spec) if is_file else spec)
            named = platform if spec in PLATFORMS or platform.name else replace(platform, name=Path(spec).stem)
            self._platforms[spec] = named
        return self._platforms[spec]


def _is_built_in(spec: str) -> bool:
    return spec in (*builtin_names(), *ALIASES)


def _usual_tokens(spec: str) -> int | None:
    return built_in(spec).tokens if _is_built_in(spec) else None
