"""Reads the schedule file, versions 1 and 2 (docs/file-formats.md); `schedule_form` is its schema.

It reads the files that the project writes and the published schedules, which keep their figures under `expect`.
It reports all faults at once, in sentences, except faults that follow from others. It does not check the rules of
a DLSA: `soma_cp.model.soma.validity` does.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from soma_cp.model.arrays import IntArray
from soma_cp.model.errors import FileFaultsError, UserError, nearest_name_hint
from soma_cp.model.files.forms import Form, form_problems, shown
from soma_cp.model.files.text_file import read_json
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.platform_file import PlatformFileError, platform_from_document
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.network import Division, Network
from soma_cp.model.network.network_checks import LARGEST_COUNT
from soma_cp.model.network.network_file import NetworkFileError, network_from_document
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.lfa import FLG, LFA, SharedLoad
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule_form import (
    CELLS,
    FILE_COLUMNS,
    NUMBER_CELL,
    OPTIONAL_COLUMNS,
    PASS,
    DivisionForm,
    DLSAForm,
    FiguresForm,
    FLGForm,
    LFAForm,
    PassesForm,
    Row,
    ScheduleFields,
    ScheduleForm,
    SharedLoadForm,
)
from soma_cp.model.soma.stored_schedule import StoredSchedule
from soma_cp.model.soma.tensors import KIND_NAMES

_AnyForm = TypeVar("_AnyForm", bound=Form)


class ScheduleFileError(FileFaultsError):
    """A schedule file with faults."""


def read_schedule(path: Path, network: Network | None = None) -> StoredSchedule:
    """Read a schedule file.

    Parameters
    ----------
    path
        Written by `soma_cp.model.soma.schedule_document.write_schedule`, or a published schedule.
    network
        The network that the file names, if it is not built in or differs from the built-in one.

    Raises
    ------
    UserError
        If the file can't be read or is not JSON.
    ScheduleFileError
        If it does not hold a schedule of its network; the error lists all faults, except faults that follow from
        others. Broken rules of a DLSA are no faults here.
    """
    return schedule_from_document(read_json(path), str(path), network)


def schedule_from_document(document: object, where: str, network: Network | None = None) -> StoredSchedule:
    """Make a schedule of a parsed schedule file; `where` names the file in messages. See `read_schedule`."""
    if isinstance(document, dict) and not {"lfa", "dlsa", "hardware"} & document.keys():
        raise ScheduleFileError(
            [f"{where}: is no schedule (it has neither lfa nor dlsa nor hardware); 'soma-cp solve -o FILE' writes one"]
        )
    reading = _Reading()
    try:
        stored = reading.schedule(document, network)
    except RecursionError:
        raise ScheduleFileError([f"{where}: lists or objects are nested too deeply"]) from None
    if stored is None:
        raise ScheduleFileError([f"{where}: {problem}" for problem in reading.problems])
    return stored


class _Reading:
    """One pass over a document: it finds a schedule, or lists the problems."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def schedule(self, document: object, given: Network | None) -> StoredSchedule | None:
        head = self._checked(ScheduleForm, document, "")
        if not isinstance(document, dict):
            return None
        network = self._network(document["network"], given) if "network" in document else None
        platform = self._platform(document["hardware"]) if "hardware" in document else None
        lfa = self._lfa(document["lfa"]) if "lfa" in document else None
        rows = self._rows(document["dlsa"]) if "dlsa" in document else None
        claims = None if head is None else self._claims(head)
        if head is None or network is None or platform is None:
            return None
        if lfa is None or rows is None or claims is None:
            return None
        try:
            plan = make_plan(Problem(network, platform, head.batch), lfa)
        except UserError as error:
            self.problems.append(str(error))
            return None
        placed = self._placed(rows, plan)
        if placed is None:
            return None
        order = np.array(placed, np.int64)
        start = _by_tensor(order, [row.start for row in rows])
        end = _by_tensor(order, [row.end for row in rows])
        begins = [row.begin_cycle for row in rows if row.begin_cycle is not None]
        if begins:  # all rows have the column, or none has it
            claims["begin_cycle"] = _by_tensor(order, begins)
        dlsa = DLSA(order, start, end)
        return StoredSchedule(plan, dlsa, claims, head.provenance or {})

    def _checked(self, form: type[_AnyForm], item: object, label: str) -> _AnyForm | None:
        if not isinstance(item, dict):
            self.problems.append(f"{label}holds {shown(item)} (must be an object with {_required(form)})")
            return None
        try:
            return form.model_validate(item)
        except ValidationError as error:
            self.problems += [label + problem for problem in form_problems(error, form, item)]
            return None

    def _network(self, named: object, given: Network | None) -> Network | None:
        if isinstance(named, dict):
            return self._embedded_network(named, given)
        if not isinstance(named, str):
            allowed = ScheduleForm.model_fields["network"].description
            self.problems.append(f"network={shown(named)} (must be {allowed})")
            return None
        if given is not None and given.name == named:
            return given
        if given is None and named in builtin_names():
            return builtin_network(named)
        fault = f"network={shown(named)}"
        if given is not None:
            fault += f", but the network given with --net is '{given.name}'"
        else:
            fault += " is not built in; give its network file with --net FILE"
        self.problems.append(fault)
        return None

    def _embedded_network(self, document: dict[str, Any], given: Network | None) -> Network | None:
        try:
            network = network_from_document(document, "network")
        except NetworkFileError as error:
            self.problems += error.problems
            return None
        if given is None or given == network:
            return network
        self.problems.append(
            f"network: the file holds a network, '{network.name}', and it is not the one given with --net, "
            f"'{given.name}'; leave --net out"
        )
        return None

    def _platform(self, item: object) -> Platform | None:
        try:
            return platform_from_document(item, "hardware")
        except PlatformFileError as error:
            self.problems += error.problems
            return None

    def _lfa(self, item: object) -> LFA | None:
        form = self._checked(LFAForm, item, "lfa: ")
        if form is None:
            return None
        forms = [self._checked(FLGForm, flg, f"lfa: FLG number {n}: ") for n, flg in enumerate(form.flgs, 1)]
        flgs = [FLG(tuple(flg.layers), flg.tiling_number, flg.dram_cut) for flg in forms if flg is not None]
        shares = [
            self._checked(SharedLoadForm, share, f"lfa: shared load number {n}: ")
            for n, share in enumerate(form.shared_loads or [], 1)
        ]
        shared = tuple(SharedLoad(share.layer, share.source) for share in shares if share is not None)
        parts = [
            self._checked(DivisionForm, division, f"lfa: division number {n}: ")
            for n, division in enumerate(form.divisions or [], 1)
        ]
        divisions = tuple(Division(part.layer, tuple(part.channels)) for part in parts if part is not None)
        passes = PassesForm(count=1) if form.passes is None else self._checked(PassesForm, form.passes, "lfa: passes: ")
        if len(flgs) < len(forms) or len(shared) < len(shares) or len(divisions) < len(parts) or passes is None:
            return None
        return LFA(tuple(flgs), shared, divisions, passes.count)

    def _rows(self, item: object) -> list[Row] | None:
        """Read the table of DRAM tensors; check each cell against its column alone."""
        form = self._checked(DLSAForm, item, "dlsa: ")
        if form is None:
            return None
        before = len(self.problems)
        self.problems += [f"dlsa: columns {problem}" for problem in _column_problems(form.columns)]
        if len(self.problems) > before:
            return None
        rows = []
        for number, cells in enumerate(form.dram_tensor_order, 1):
            faults = list(_cell_problems(form.columns, cells))
            self.problems += [f"{_row_label(number)}{fault}" for fault in faults]
            if not faults:
                row = dict(zip(form.columns, cells, strict=True))
                rows.append(Row._make(row.get(column) for column in FILE_COLUMNS))
        return rows if len(self.problems) == before else None

    def _claims(self, head: ScheduleFields) -> dict[str, Any] | None:
        bounds = "proven_lower_bound_cycles", "proven_lower_bound"
        names = {*FiguresForm.model_fields, *bounds, "proven_optimal", "tile_shapes"}
        claims = head.model_dump(include=names, exclude_unset=True)
        expect = self._checked(FiguresForm, head.expect or {}, "expect: ")
        if expect is None:
            return None
        expected = expect.model_dump(exclude_unset=True)
        twice = sorted(claims.keys() & expected.keys())
        self.problems += [f"{name} is given twice, once in expect; keep one" for name in twice]
        return None if twice else claims | expected

    def _placed(self, rows: list[Row], plan: Plan) -> list[int] | None:
        """Return the tensor index of every row."""
        finder = _TensorFinder(plan)
        before = len(self.problems)
        number_of: dict[int, int] = {}
        for number, row in enumerate(rows, 1):
            tensor = finder.index.get((row.kind, row.layer, row.tile, row.source, finder.pass_of(row)))
            fault = None
            if tensor is None:
                fault = finder.why_missing(row)
            elif tensor in number_of:
                fault = f"the {plan.tensor_label(tensor)} is number {number_of[tensor]} already; keep one of them"
            else:
                number_of[tensor] = number
                size = int(plan.tensors.bytes[tensor])
                if row.bytes not in (None, size):
                    fault = f"bytes={row.bytes}, but it is {size} for the {plan.tensor_label(tensor)}"
            if fault is not None:
                self.problems.append(_row_label(number) + fault)
        if len(rows) < plan.dram_tensor_count:
            missing = next(i for i in range(plan.dram_tensor_count) if i not in number_of)
            self.problems.append(
                f"dlsa: dram_tensor_order leaves out {plan.dram_tensor_count - len(number_of)} of the "
                f"{plan.dram_tensor_count} DRAM tensors of this LFA: first the {plan.tensor_label(missing)}"
            )
        return list(number_of) if len(self.problems) == before else None


class _TensorFinder:
    """Finds the DRAM tensors of a plan by what identifies them in files."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.index = {plan.key_in_pass(i): i for i in range(plan.dram_tensor_count)}
        # By kind and layer, in creation order.
        self.sources: dict[tuple[str, str], list[str]] = {}
        for kind, layer, _, source, _ in self.index:
            of_layer = self.sources.setdefault((kind, layer), [])
            if source not in of_layer[-1:]:
                of_layer.append(source)

    def pass_of(self, row: Row) -> int:
        """Return the pass of a row; where there is one pass, rows need not name it."""
        if row.number_of_pass is None:
            return 0 if self.plan.lfa.passes == 1 else -1
        return row.number_of_pass

    def why_missing(self, row: Row) -> str:
        """Return the reason why there is no such tensor, in words."""
        network, passes = self.plan.problem.network.one_pass, self.plan.lfa.passes
        if row.number_of_pass is None and passes > 1:
            return f"the column {PASS} is missing (must be there, since lfa.passes is {passes})"
        if not 0 <= self.pass_of(row) < passes:
            return f"{PASS}={row.number_of_pass} (must be from 0 to {passes - 1}, one less than lfa.passes)"
        if row.layer not in network.layer_id:
            return f"layer={shown(row.layer)}, {network.why_unknown(row.layer)}"
        sources = self.sources.get((row.kind, row.layer))
        if sources is None:
            reason = {
                "ifm": f"'{row.layer}' loads no ifmap from DRAM",
                "wgt": f"'{row.layer}' has no weights of its own",
                "ofm": f"the ofmap of '{row.layer}' stays on chip",
            }
            return f"kind={shown(row.kind)}, but {reason[row.kind]} under this LFA; leave it out"
        if row.source not in sources and row.kind == "ifm":
            hint = nearest_name_hint(row.source, sources)
            return f"source={shown(row.source)} (must be one of {', '.join(sources)}){hint}"
        if row.source not in sources:
            return f"source={shown(row.source)} (must be empty for {row.kind})"
        if row.kind == "wgt":
            return f"tile={row.tile} (must be 0: weights are loaded once)"
        count = int(self.plan.layers.count[network.layer_id[row.layer]])
        return f"tile={row.tile} (must be from 0 to {count - 1}: '{row.layer}' has {count} tiles)"


def _required(form: type[Form]) -> str:
    return ", ".join(name for name, field in form.model_fields.items() if field.is_required())


def _row_label(number: int) -> str:
    return f"dlsa: DRAM tensor number {number}: "


def _column_problems(columns: list[Any]) -> Iterator[str]:
    for column in columns:
        if column not in FILE_COLUMNS:
            hint = nearest_name_hint(column, FILE_COLUMNS) if isinstance(column, str) else ""
            yield f"names {shown(column)} (must be one of {', '.join(FILE_COLUMNS)}){hint}"
        elif columns.count(column) > 1:
            yield f"names {shown(column)} {columns.count(column)} times; keep one"
            return
    for column in FILE_COLUMNS:
        if column not in columns and column not in (*OPTIONAL_COLUMNS, PASS):
            yield f"leaves out {shown(column)}; only {' and '.join(OPTIONAL_COLUMNS)} may be left out"


def _cell_problems(columns: list[str], cells: object) -> Iterator[str]:
    if not isinstance(cells, list) or len(cells) != len(columns):
        yield f"{shown(cells)} (must be a list of {len(columns)} values: {', '.join(columns)})"
        return
    for column, cell in zip(columns, cells, strict=True):
        if column in CELLS:
            good = isinstance(cell, str) and (column != "kind" or cell in KIND_NAMES)
        else:
            good = type(cell) is int and abs(cell) <= LARGEST_COUNT
        if not good:
            yield f"{column}={shown(cell)} (must be {CELLS.get(column, NUMBER_CELL)})"


def _by_tensor(order: IntArray, values: list[int]) -> IntArray:
    result = np.empty(len(order), np.int64)
    result[order] = values
    return result
