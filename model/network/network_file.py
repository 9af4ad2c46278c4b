"""The network file, version 3 (docs/file-formats.md).

Version 1 had no outputs, shared weights or regroupings, version 2 no data types; a file is written in the lowest
version that can express its network.

Reading reports all faults at once, each in one sentence: file, line in YAML, layer, field, what was found, what is
allowed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from soma_cp.model.data_types import (
    INT8,
    DataType,
    LayerTypes,
    WeightFormat,
    data_type,
    rounded_ratio,
    weight_format,
)
from soma_cp.model.errors import FileFaultsError, nearest_name_hint
from soma_cp.model.files.forms import Form, clipped, form_problems, is_name, json_text, shown
from soma_cp.model.files.text_file import read_json, write_text_atomically
from soma_cp.model.files.yaml_file import YAML_ENDINGS, Lines, read_yaml
from soma_cp.model.network.layers import LAYER_KINDS, Conv, ExternalInput, Layer
from soma_cp.model.network.network import Network, NetworkError
from soma_cp.model.network.network_checks import unread_layers
from soma_cp.model.network.network_forms import (
    DERIVED,
    LAYER_FORMS,
    OUTPUTS_VERSION,
    TYPES,
    VERSION,
    InputForm,
    LayerForm,
    NetworkForm,
)

_NO_LINES = Lines()


class NetworkFileError(FileFaultsError):
    """A network file with faults."""


_AnyForm = TypeVar("_AnyForm", bound=Form)
# The order in which fields are written.
_KIND_FIELDS = ("C", "K", "R", "S", "H", "W", "sH", "sW", "dH", "dW", "sK", "G", "N", "order", "ifmap", "weights")

_NEW_FIELDS = {"dH", "dW", "ifmap", "weights"}
"""Fields of layers that version 1 lacks."""

_DEFAULTS = {("dH", 1), ("dW", 1)}
"""Fields that are not written if they have these values."""


def read_network_file(path: Path) -> Network:
    """Read a network file: YAML if it ends in ``.yaml`` or ``.yml``, else JSON; the fields are the same.

    Raises
    ------
    UserError
        If the file can't be read, or is not JSON or YAML.
    NetworkFileError
        If it is not a sound network; all faults are reported at once.
    """
    if path.suffix.lower() in YAML_ENDINGS:
        found = read_yaml(path)
        return network_from_document(found.fields, str(path), found.lines)
    return network_from_document(read_json(path), str(path))


def network_from_document(document: object, where: str, lines: Lines = _NO_LINES) -> Network:
    """Make a network from a parsed network file.

    Parameters
    ----------
    document
        What JSON gives: dicts, lists, strings and numbers.
    where
        Name of the file or place, for error messages.
    lines
        Lines of the document's parts in the file, for error messages.

    Raises
    ------
    NetworkFileError
        If it is not a sound network. Every part's faults of form are reported. Faults between layers are reported
        only for layers that depend on no part with a fault of form.
    """
    if isinstance(document, dict) and {"lfa", "dlsa"} <= document.keys():
        raise NetworkFileError([f"{where}: is a schedule and no network; evaluate or report it, or name its network"])
    reading = _Reading(document, lines)
    if reading.network is None or reading.problems:
        raise NetworkFileError([f"{where}: {problem}" for problem in reading.problems])
    return reading.network


def network_document(network: Network) -> dict[str, Any]:
    """Return `network` as a network file holds it, derived fields included; in the lowest version that expresses it."""
    types = _common_types(network)
    inputs = [
        {"name": source.name, "shape": list(source.shape)} | _input_type(source, types) for source in network.inputs
    ]
    layers = [_layer_document(network, layer, types) for layer in network.layers]
    version = 1
    if any(not _NEW_FIELDS.isdisjoint(layer) for layer in layers):
        version = OUTPUTS_VERSION
    if list(network.outputs) != unread_layers(network.layers):
        version = OUTPUTS_VERSION
    if (
        types
        or any("type" in source for source in inputs)
        or any(not layer.keys().isdisjoint(TYPES) for layer in layers)
    ):
        version = VERSION
    return {
        "version": version,
        "name": network.name,
        "blocks": network.blocks,
        **types,
        "inputs": inputs,
        **({"outputs": list(network.outputs)} if version > 1 else {}),
        "layers": layers,
    }


def write_network_file(network: Network, path: Path) -> None:
    """Write `network` to `path`, one line for each layer.

    Raises
    ------
    UserError
        If the file can't be written.
    """
    document = network_document(network)
    layers = ",\n".join(f"  {json_text(layer)}" for layer in document.pop("layers"))
    head = "".join(f'"{field}": {json_text(value)},\n ' for field, value in document.items())
    write_text_atomically(path, f'{{{head}"layers": [\n{layers}\n]}}\n')


def _common_types(network: Network) -> dict[str, Any]:
    """Return the fields of types that all layers and inputs which have one agree on, where it is not the default."""
    said = [_type_fields(layer) for layer in network.layers]
    said += [{"activation_type": source.type.name} for source in network.inputs]
    common: dict[str, Any] = {}
    for field, usual in _USUAL_TYPES.items():
        found = {fields[field] for fields in said if field in fields}
        if len(found) == 1 and found != {usual}:
            common[field] = found.pop()
    return common


_USUAL_TYPES = {"weight_type": INT8.name, "activation_type": INT8.name, "accumulator_type": None, "weight_ratio": 1.0}
"""The fields of types in the order in which they are written, and what holds where none is given."""


def _type_fields(layer: Layer) -> dict[str, Any]:
    """Return all fields of types that a layer can have."""
    ofmap, weights, accumulators = layer.types
    fields: dict[str, Any] = {"activation_type": ofmap.name}
    if layer.is_matrix:
        fields["accumulator_type"] = None if accumulators is None else accumulators.name
    if layer.is_matrix and not layer.weight_operands:
        fields |= {"weight_type": weights.text, "weight_ratio": float(weights.ratio)}
    return fields


def _input_type(source: ExternalInput, common: Mapping[str, Any]) -> dict[str, Any]:
    return {} if source.type == INT8 or "activation_type" in common else {"type": source.type.name}


def _layer_types(layer: Layer, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of types of a layer that are neither usual nor those of the whole file."""
    fields = _type_fields(layer)
    own = (field for field in _USUAL_TYPES if field in fields and field not in common)
    return {field: fields[field] for field in own if fields[field] != _USUAL_TYPES[field]}


def _layer_document(network: Network, layer: Layer, common: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {"name": layer.name, "kind": layer.kind}
    for field in _KIND_FIELDS:
        value = getattr(layer, field, None)
        if value and (field, value) not in _DEFAULTS:
            document[field] = list(value) if isinstance(value, tuple) else value
    document |= _layer_types(layer, common)
    document |= _derived_fields(layer, network)
    document["ifmaps"] = list(layer.ifmaps)
    if layer.weight_operands:
        document["weight_operands"] = list(layer.weight_operands)
    if layer.inputs:
        document["inputs"] = list(layer.inputs)
    return document


def _derived_fields(layer: Layer, network: Network | None) -> dict[str, Any]:
    """Return the derived fields; without a network, only those that follow from the layer alone."""
    fields: dict[str, Any] = {"ofmap": list(layer.ofmap)}
    if network is not None:
        fields["ifmap_real"] = [layer.wanted_ifmap()[0], *network.available_ifmap(layer)]
    # The size of the second operand, even where other layers make it and no weights are loaded.
    if network is not None or not layer.weight_operands:
        fields["weight_bytes"] = network.operand_bytes(layer) if network is not None else layer.weight_bytes
    return fields | {"operations": layer.operations}


class _Reading:
    """One pass over a document: it finds the network, or all problems.

    `_broken` holds the names of inputs and layers that don't fit the schema. Problems of layers that depend on them
    could be false alarms, so these layers are left out when layers are checked against one another.
    """

    def __init__(self, document: object, lines: Lines) -> None:
        self.problems: list[str] = []
        self._lines: dict[str, Lines] = {}  # of inputs and layers, by the prefix of the problems that Network finds
        self.network: Network | None = None
        self._head: NetworkForm | None = None
        self._broken: set[str] = set()
        self._nameless = False  # a broken part has no readable name
        if not isinstance(document, dict):
            self.problems.append(f"holds {shown(document)} (must be an object with name, inputs and layers)")
            return
        head = self._head = self._checked(NetworkForm, document, "", lines)
        if head is not None and (head.version == 1) is not (head.outputs is None):
            said = f"is missing (version {head.version} must have it"
            if head.outputs is not None:
                said = "is given (version 1 has none"
            self._tell(f"outputs {said}: a list of the layers whose ofmaps are stored)", "", lines)
        if head is not None:
            self._refuse_early_types(head, TYPES, "", lines)
        inputs = [self._input(*part) for part in self._parts(document, "inputs", lines)]
        layers = [self._layer(*part) for part in self._parts(document, "layers", lines)]
        self._join(head, [source for source in inputs if source], [layer for layer in layers if layer])

    def _parts(self, document: dict[str, Any], field: str, lines: Lines) -> list[tuple[Any, int, Lines]]:
        """Return the inputs or layers, each with its number and its lines."""
        items = document.get(field)
        if not isinstance(items, list):
            self._nameless = True
            return []
        known = lines.fields.get(field, _NO_LINES).items or [_NO_LINES] * len(items)
        return list(zip(items, range(1, len(items) + 1), known, strict=True))

    def _input(self, item: object, number: int, lines: Lines) -> ExternalInput | None:
        form = self._part(InputForm, item, "input", number, lines)
        if form is None:
            return None
        channels, rows, columns = form.shape
        self._refuse_early_types(form, ("type",), f"input '{form.name}': ", lines)
        named = form.type or (self._head.activation_type if self._head else None)
        return ExternalInput(form.name, (channels, rows, columns), _type_called(named) or INT8)

    def _layer(self, item: object, number: int, lines: Lines) -> tuple[Layer, dict[str, Any]] | None:
        """Check a layer; return it and the derived fields that the file gives."""
        kind = item.get("kind") if isinstance(item, dict) else None
        form = self._part(LAYER_FORMS.get(kind) if isinstance(kind, str) else None, item, "layer", number, lines)
        if form is None:
            return None
        fields: dict[str, Any] = {
            field: tuple(value) if isinstance(value, list) else value
            for field, value in form.model_dump(exclude={"kind", *DERIVED, *TYPES}).items()
        }
        label = f"layer '{form.name}': "
        self._refuse_early_types(form, TYPES, label, lines)
        for field in ("weight_type", "weight_ratio"):
            if form.weight_operands and getattr(form, field, None) is not None:
                said = f"{field}={shown(getattr(form, field))}"
                self._tell(f"{said}, but weight_operands take the place of stored weights; leave it out", label, lines)
        fields["types"] = self._types(form)
        given = form.model_dump(include=set(DERIVED), exclude_unset=True)
        return LAYER_KINDS[form.kind](**fields), given

    def _types(self, form: LayerForm) -> LayerTypes:
        """Return the types of a layer: its own, or those of the whole file."""

        def said(field: str) -> Any:
            own = getattr(form, field, None)
            return getattr(self._head, field, None) if own is None else own

        is_matrix = issubclass(LAYER_KINDS[form.kind], Conv)
        weights = WeightFormat()
        if is_matrix and not form.weight_operands:
            weights = weight_format(said("weight_type") or INT8.name) or weights
            ratio = said("weight_ratio")
            weights = weights if ratio is None else weights._replace(ratio=rounded_ratio(ratio))
        return LayerTypes(
            ofmap=_type_called(said("activation_type")) or INT8,
            weights=weights,
            accumulators=_type_called(said("accumulator_type")) if is_matrix else None,
        )

    def _refuse_early_types(self, form: Form, fields: Sequence[str], label: str, lines: Lines) -> None:
        """Tell of fields of types in a version without them."""
        if self._head is None or self._head.version == VERSION:
            return
        for field in fields:
            if getattr(form, field, None) is not None:
                version = f"version {self._head.version}"
                if "version" not in self._head.model_fields_set:
                    version = f"a file without version is of {version}, which"
                said = f"{field} is given ({version} has no data types; version {VERSION} has them)"
                self._tell(said, label, lines)

    def _part(self, form: type[_AnyForm] | None, item: object, what: str, number: int, lines: Lines) -> _AnyForm | None:
        """Check an input or layer by its form; `form` is None for an unknown kind of layer."""
        name = item.get("name") if isinstance(item, dict) else None
        label = f"{what} '{clipped(str(name))}': " if is_name(name) else f"{what} number {number}: "
        whole_label = f"{what} '{name}': "
        self._lines |= {
            whole_label: _NO_LINES if whole_label in self._lines else lines,  # two parts share the name
            f"the name '{name}' ": lines,
        }
        checked = None
        if not isinstance(item, dict):
            self._tell(f"{shown(item)} (must be an object)", label, lines)
        elif form is None:
            self._tell(_kind_problem(item), label, lines)
        else:
            checked = self._checked(form, item, label, lines)
        if checked is None and is_name(name):
            self._broken.add(str(name))
        elif checked is None:
            self._nameless = True
        return checked

    def _tell(self, problem: str, label: str, lines: Lines) -> None:
        self.problems.append(lines.place(problem) + label + problem)

    def _tell_of_network(self, problem: str) -> None:
        """Add a problem that already names its input or layer."""
        label = next(filter(problem.startswith, self._lines), "")
        self._tell(problem.removeprefix(label), label, self._lines.get(label, _NO_LINES))

    def _checked(self, form: type[_AnyForm], item: dict[str, Any], label: str, lines: Lines) -> _AnyForm | None:
        try:
            return form.model_validate(item)
        except ValidationError as error:
            for problem in form_problems(error, form, item, _reasons(form, item)):
                self._tell(problem, label, lines)
            return None

    def _join(
        self,
        head: NetworkForm | None,
        inputs: list[ExternalInput],
        layers: list[tuple[Layer, dict[str, Any]]],
    ) -> None:
        """Check the layers against one another, and the derived fields against the layers."""
        sound = self._independent_of_broken([layer for layer, _ in layers])
        if not self._nameless and (sound or not self._broken):
            name, blocks = (head.name, head.blocks) if head else ("", 1)
            outputs = tuple(head.outputs or ()) if head and not self._broken else ()
            try:
                self.network = Network(name, tuple(inputs), sound, blocks, outputs)
            except NetworkError as error:
                for problem in error.problems:
                    self._tell_of_network(problem)
            left_out = [name for name in unread_layers(sound) if outputs and name not in outputs]
            self.problems += [f"outputs leaves out '{name}', which no layer reads; name it there" for name in left_out]
        for layer, given in layers:
            in_network = self.network is not None and layer.name in self.network.layer_id
            expected = _derived_fields(layer, self.network if in_network else None)
            for field, value in expected.items():
                if given.get(field, value) != value:
                    found = f"layer '{layer.name}': {field}={given[field]}"
                    self._tell_of_network(f"{found} (its other fields give {value}; correct it or leave it out)")

    def _independent_of_broken(self, layers: list[Layer]) -> tuple[Layer, ...]:
        left_out = set(self._broken)
        before = -1
        while len(left_out) != before:
            before = len(left_out)
            for layer in layers:
                if not left_out.isdisjoint((*layer.ifmaps, *layer.weight_operands, *layer.inputs)):
                    left_out.add(layer.name)
        return tuple(layer for layer in layers if layer.name not in left_out)


def _type_called(name: str | None) -> DataType | None:
    return None if name is None else data_type(name)


def _reasons(form: type[Form], item: Mapping[str, Any]) -> dict[str, str]:
    """Return why inputs and layers of some kinds have no field of a type that others have, and what to do."""
    if form is InputForm:
        return dict.fromkeys(TYPES, "of an input, whose type is the field 'type'")
    if not issubclass(form, LayerForm):
        return {}
    kind = shown(item.get("kind"))
    return {
        "type": "of a layer; the type of its ofmap is 'activation_type', and that of stored weights 'weight_type'",
        "weight_type": f"of the kind {kind}, which has no stored weights; leave it out",
        "weight_ratio": f"of the kind {kind}, which has no stored weights; leave it out",
        "accumulator_type": f"of the kind {kind}, which makes no partial sums; leave it out",
    }


def _kind_problem(item: Mapping[str, Any]) -> str:
    allowed = ", ".join(LAYER_FORMS)
    if "kind" not in item:
        return f"kind is missing (must be one of {allowed})"
    kind = item["kind"]
    hint = nearest_name_hint(kind, LAYER_FORMS) if isinstance(kind, str) else ""
    return f"kind={shown(kind)} (must be one of {allowed}){hint}"
