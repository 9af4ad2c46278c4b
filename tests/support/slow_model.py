"""The model of docs/model.md in plain Python: tiles, tensors, double buffering, validity and evaluation.

It is the twin of the package's compiled kernels, and shares no code with the package. It takes the plain documents of
network and schedule files, and names a tensor by ``(kind, layer, tile, source)`` as schedule files do.

- `divided` puts the parts of divided layers in their place.
- `plan` turns an LFA into tiles and tensors; `_repeated` does so for several passes.
- `double_buffering` is the classical DLSA of a plan.
- `violations` lists every rule that a DLSA breaks.
- `evaluate` finds begin cycles as longest paths in the graph of what waits for what.

A DLSA is a list of records ``(kind, layer, tile, source, bytes, start, end)`` in DRAM Tensor Order. The rows of
``dlsa.dram_tensor_order`` in schedule files, which have the begin cycle as an eighth item, are accepted, too.
"""

import graphlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from support import slow_types
from support.slow_core_array import MATRIX_KINDS, VEC_AND_LANE, ceil_div, tile_cost

DRAM_PJ_PER_BYTE = 84

Shape = tuple[int, int, int]
"""Channels, rows, columns."""

Extent = tuple[int, int, int, int]
"""Samples, channels, rows, columns."""

Key = tuple[str, str, int, str]
"""Name of a tensor: kind (``ifm``, ``wgt``, ``ofm``), layer, tile index within the layer, source."""


class InvalidLFA(Exception):
    """An LFA that breaks a rule of section 2."""


class Deadlock(Exception):
    """Tiles and DRAM tensors wait for one another; in `cycle`, each waits for the one before it."""

    def __init__(self, cycle: list[tuple[str, int]]) -> None:
        self.cycle = cycle
        super().__init__(" <- ".join(f"{what} {number}" for what, number in cycle))


class SlowTile(NamedTuple):
    """One computing tile; `position` is its tile id."""

    position: int
    layer: str
    index: int
    shape: Extent
    cycles: int
    energy_pj: float
    flg: int
    lg: int


class SlowTensor(NamedTuple):
    """One tensor with the ranges that its Start and End may take, bounds included.

    A range of one value is fixed. `needed_at` is the tile that first needs a load, `made_at` the tile that makes an
    ofmap; the other is None. `on_dram` is False for ofmaps that stay on chip. `moved` are the bytes of the transfer.
    """

    key: Key
    bytes: int
    moved: int
    on_dram: bool
    start_range: tuple[int, int]
    end_range: tuple[int, int]
    needed_at: int | None
    made_at: int | None

    @property
    def is_load(self) -> bool:
        return self.needed_at is not None


class Record(NamedTuple):
    """One row of a DLSA."""

    kind: str
    layer: str
    tile: int
    source: str
    bytes: int
    start: int
    end: int

    @property
    def key(self) -> Key:
        return (self.kind, self.layer, self.tile, self.source)


SlowDLSA = list[Record]


class Violation(NamedTuple):
    """A broken rule, and the tensors or the tile that break it; the rules are tensors, domain, 1a, 1b, 2, 3."""

    rule: str
    tensors: tuple[Key, ...]
    tile: int | None
    text: str


@dataclass(frozen=True)
class SlowPlan:
    """What the LFA alone fixes: tiles by position, tensors in creation order, and totals.

    Layers are divided in `network`.
    """

    network: dict
    batch: int
    hardware: dict
    tile_shapes: dict[str, Extent]
    tiles: list[SlowTile]
    tensors: list[SlowTensor]
    lg_of_layer: dict[str, int]
    positions_of_layer: dict[str, list[int]]

    @property
    def dram_tensors(self) -> list[SlowTensor]:
        return [tensor for tensor in self.tensors if tensor.on_dram]

    @property
    def compute_cycles(self) -> int:
        return sum(tile.cycles for tile in self.tiles)

    @property
    def dram_cycles(self) -> int:
        return sum(self.transfer_cycles(tensor.moved) for tensor in self.dram_tensors)

    @property
    def bound(self) -> int:
        return max(self.compute_cycles, self.dram_cycles)

    @property
    def core_energy_pj(self) -> float:
        return sum(tile.energy_pj for tile in self.tiles)

    @property
    def dram_energy_pj(self) -> float:
        per_byte = self.hardware.get("dram_pj_per_byte", DRAM_PJ_PER_BYTE)
        return float(sum(tensor.moved for tensor in self.dram_tensors) * per_byte)

    @property
    def energy_pj(self) -> float:
        return self.core_energy_pj + self.dram_energy_pj

    def transfer_cycles(self, size: int) -> int:
        return math.ceil(size / Fraction(self.hardware["dram_bytes_per_cycle"]))


@dataclass(frozen=True)
class SlowEvaluation:
    """Figures of a plan with a DLSA.

    `tensor_begin` is in DRAM Tensor Order; `tile_begin` and `usage` (bytes held) are by tile id.
    """

    latency: int
    tile_begin: list[int]
    tensor_begin: list[int]
    energy_pj: float
    bound: int
    usage: list[int]
    peak_bytes: int
    average_bytes: float


# --- Section 1: layers ----------------------------------------------------------------------------


def ofmap_shape(layer: dict) -> Shape:
    return (layer["K"], layer.get("H", 1), layer.get("W", 1))


def source_shapes(network: dict) -> dict[str, Shape]:
    """Return what every layer and external input provides for one sample."""
    shapes = {source["name"]: tuple(source["shape"]) for source in network["inputs"]}
    shapes.update({layer["name"]: ofmap_shape(layer) for layer in network["layers"]})
    return shapes


def producers(layer: dict) -> list[str]:
    """Return the layers that `layer` reads, in either role."""
    return [*layer.get("ifmaps", []), *layer.get("weight_operands", [])]


def ifmap_extent(layer: dict, tile: Extent, network: dict, corrected: bool = False) -> Extent:
    """Return the backward extent: what a tile of `layer` reads of its ifmap; if `corrected`, with its full halo."""
    b, k, h, w = tile
    kind = layer["kind"]
    if kind in ("eltwise", "ptp"):
        return tile
    if kind == "transpose":
        ifmap = dict(zip("CHW", layer.get("ifmap", ()), strict=False))  # a regrouping reads it whole
        for tile_extent, whole, origin in zip((k, h, w), ofmap_shape(layer), layer["order"], strict=True):
            if origin in "CHW":
                ifmap[origin] = tile_extent
            elif origin in "chw":  # its share, rounded up
                ifmap[origin.upper()] = math.ceil(Fraction(ifmap[origin.upper()]) * tile_extent / whole)
        return (b, ifmap["C"], ifmap["H"], ifmap["W"])
    if kind == "upsample":
        return (
            b,
            ceil_div(k, layer.get("sK", 1)),
            ceil_div(h, layer.get("sH", 1)),
            ceil_div(w, layer.get("sW", 1)),
        )

    _, ofmap_rows, ofmap_columns = ofmap_shape(layer)
    sH, sW = layer.get("sH", 1), layer.get("sW", 1)
    R, S = _window(layer, "R", "dH"), _window(layer, "S", "dW")
    full_rows = (ofmap_rows - 1) * sH + R
    full_columns = (ofmap_columns - 1) * sW + S
    shapes = source_shapes(network)
    sources = [shapes[name] for name in [*layer.get("ifmaps", []), *layer.get("inputs", [])]]
    real_rows = min(max(shape[1] for shape in sources), full_rows)
    real_columns = min(max(shape[2] for shape in sources), full_columns)
    pad_rows = (full_rows - real_rows) // 2
    pad_columns = (full_columns - real_columns) // 2
    if corrected:
        pad_rows = pad_columns = 0
    if kind == "fc":
        return (b, layer["C"], R - pad_rows, S - pad_columns)

    if kind == "pool":
        channels = k
    elif kind == "group_conv":
        channels = ceil_div(k, layer["K"] // layer["G"]) * (layer["C"] // layer["G"])
    else:
        channels = layer["C"]
    rows = min((h - 1) * sH + R - pad_rows, real_rows)
    columns = min((w - 1) * sW + S - pad_columns, real_columns)
    return (b, channels, rows, columns)


def _window(layer: dict, taps: str, distance: str) -> int:
    """Return the extent of a window from its first tap to the last."""
    return (layer.get(taps, 1) - 1) * layer.get(distance, 1) + 1


def weight_operand_extent(layer: dict, tile: Extent) -> Extent:
    """Return what a tile of `layer` reads of a second operand that other layers make."""
    b, k, _, _ = tile
    rows = layer["C"] // layer["G"] if layer["kind"] == "group_conv" else layer["C"]
    return (b, k, rows, layer.get("R", 1) * layer.get("S", 1))


# --- Layers divided by output channels -------------------------------------------------------------


def granule(hardware: dict) -> int:
    """Return the kernels of which all parts of a layer but one have a multiple."""
    return VEC_AND_LANE[hardware["macs_per_pe"]][1] * hardware["pe_grid"]


def may_be_divided(layer: dict) -> bool:
    return layer["kind"] in ("conv", "fc") and not layer.get("weight_operands")


def divided(network: dict, divisions: Sequence[dict], hardware: dict) -> dict:
    """Return the network with the parts of divided layers in their place; each part is marked by `part`.

    Raises
    ------
    InvalidLFA
        If a layer can't be divided so.
    """
    layers = {layer["name"]: layer for layer in network["layers"]}
    taken = {*layers, *(source["name"] for source in network["inputs"])}
    parts: dict[str, list[dict]] = {}
    for division in divisions:
        name, channels = division["layer"], division["channels"]
        if name not in layers or name in parts or not may_be_divided(layers[name]):
            raise InvalidLFA(f"'{name}' can't be divided")
        off_granule = [size for size in channels if size % granule(hardware)]
        if len(channels) < 2 or min(channels) < 1 or sum(channels) != layers[name]["K"] or len(off_granule) > 1:
            raise InvalidLFA(f"'{name}' can't be divided into {channels}")
        parts[name] = []
        for number, size in enumerate(channels):
            part = {**layers[name], "name": f"{name}/{number + 1}", "K": size, "part": True}
            if part["name"] in taken:
                raise InvalidLFA(f"'{part['name']}' is taken")
            if part.get("weights"):
                first = sum(channels[:number])
                part["weights"] = f"kernels {first} to {first + size} of {part['weights']}"
            parts[name].append(part)

    def read(names: list[str]) -> list[str]:
        found = []
        for name in names:
            found += [part["name"] for part in parts[name]] if name in parts else [name]
        return found

    made = []
    for layer in network["layers"]:
        for one in parts.get(layer["name"], [layer]):
            roles = [role for role in ("ifmaps", "weight_operands") if role in one]
            made.append({**one, **{role: read(one[role]) for role in roles}})
    return {**network, "layers": made, "outputs": read(network.get("outputs", []))}


# --- Section 2: the LFA and its tiles -------------------------------------------------------------


def check_order(network: dict, lfa: dict) -> None:
    """Raise `InvalidLFA` unless the FLGs run every layer once, producers first."""
    layers = {layer["name"]: layer for layer in network["layers"]}
    flgs = lfa["flgs"]
    if not flgs or not flgs[0]["dram_cut"]:
        raise InvalidLFA("the first FLG begins an LG")
    done: set[str] = set()
    for flg in flgs:
        if not flg["layers"]:
            raise InvalidLFA("an FLG without layers")
        if flg["tiling_number"] < 1:
            raise InvalidLFA(f"tiling number {flg['tiling_number']}")
        for name in flg["layers"]:
            if name not in layers:
                raise InvalidLFA(f"unknown layer '{name}'")
            if name in done:
                raise InvalidLFA(f"layer '{name}' runs twice")
            for producer in producers(layers[name]):
                if producer not in done:
                    raise InvalidLFA(f"layer '{name}' runs before '{producer}'")
            done.add(name)
    if done != set(layers):
        raise InvalidLFA("layers are missing")


def spatial_factors(rows: int, columns: int, m: int) -> tuple[int, int]:
    """Return fh, fw with fh·fw = m and fh/fw as close as possible to rows/columns."""
    alpha = Fraction(rows, columns)
    root = math.isqrt(math.floor(m / alpha))
    divisors = [n for n in range(1, m + 1) if m % n == 0]
    below = [n for n in divisors if n <= root]
    above = [n for n in divisors if n >= root + 1]
    if not below:
        fw = above[0]
    elif not above:
        fw = below[-1]
    else:
        d, u = below[-1], above[0]
        distance_d = abs(Fraction(m, d) - alpha * d)
        distance_u = abs(Fraction(m, u) - alpha * u)
        fw = d if distance_d < distance_u else u
    return m // fw, fw


def forbidden_cuts(network: dict, flg_layers: list[str]) -> set[str]:
    """Return the dimensions (of C, H, W) that can't be cut in an FLG because of its transposes."""
    forbidden: set[str] = set()
    for layer in network["layers"]:
        if layer["name"] not in flg_layers or layer["kind"] != "transpose":
            continue
        if not any(producer in flg_layers for producer in producers(layer)):
            continue
        order = dict(zip("CHW", layer["order"].upper(), strict=True))
        if (order["H"], order["W"]) == ("W", "H"):
            continue
        forbidden |= {place for place, origin in order.items() if place != origin}
    return forbidden


def flg_tile_shapes(
    network: dict, batch: int, flg_layers: list[str], tiling_number: int, corrected: bool = False
) -> dict[str, Extent]:
    """Return the tile of every layer of an FLG; a part has its own channels, if `corrected` all layers have.

    Raises
    ------
    InvalidLFA
        If the tiling number is too large for an output layer.
    """
    layers = {layer["name"]: layer for layer in network["layers"]}
    samples_factor = math.gcd(batch, tiling_number)
    samples = batch // samples_factor
    m = tiling_number // samples_factor
    forbidden = forbidden_cuts(network, flg_layers)

    tiles: dict[str, Extent] = {}
    for name in reversed(flg_layers):
        wanted: list[Extent] = []
        for consumer in flg_layers:
            if name in layers[consumer].get("ifmaps", []):
                wanted.append(ifmap_extent(layers[consumer], tiles[consumer], network, corrected))
            if name in layers[consumer].get("weight_operands", []):
                wanted.append(weight_operand_extent(layers[consumer], tiles[consumer]))
        if wanted:
            b, k, h, w = (max(extent[i] for extent in wanted) for i in range(4))
            exact = corrected or "part" in layers[name]
            tiles[name] = (b, layers[name]["K"] if exact else k, h, w)
            if name not in network.get("outputs", ()):
                continue
        channels, rows, columns = ofmap_shape(layers[name])
        if "H" in forbidden and "W" in forbidden:
            fh, fw = 1, 1
        elif "H" in forbidden:
            fh, fw = 1, m
        elif "W" in forbidden:
            fh, fw = m, 1
        else:
            fh, fw = spatial_factors(rows, columns, m)
        if rows < fh or columns < fw:
            raise InvalidLFA(f"tiling number {tiling_number} cuts '{name}' into {fh}x{fw}")
        whole = (samples, channels, ceil_div(rows, fh), ceil_div(columns, fw))
        tiles[name] = tuple(map(max, whole, tiles.get(name, whole)))
    return tiles


def plan(network: dict, batch: int, hardware: dict, lfa: dict) -> SlowPlan:
    """Return tiles and tensors of an LFA.

    Raises
    ------
    InvalidLFA
        If a layer can't be divided so, the passes are unequal, the order is wrong or a tiling number too large.
    slow_core_array.NoMapping
        If a tile can't run on the array.
    """
    passes = lfa.get("passes", {"count": 1})["count"]
    if batch % passes:
        raise InvalidLFA(f"{passes} passes of a batch of {batch}")
    once = plan_of_one_pass(network, batch // passes, hardware, lfa)
    return once if passes == 1 else _repeated(once, passes)


def in_pass(name: str, number: int) -> str:
    """Return a layer's or an input's name in a pass, from 0."""
    return f"{name} (pass {number + 1})" if number and name else name


def _repeated(once: SlowPlan, passes: int) -> SlowPlan:
    """Return the tiles and tensors of one pass once for each pass, each pass after the one before.

    `network` and `batch` stay those of one pass.
    """
    length = len(once.tiles)
    flgs, lgs = once.tiles[-1].flg + 1, once.tiles[-1].lg + 1
    taken = {*once.tile_shapes, *(source["name"] for source in once.network["inputs"])}
    if any(in_pass(name, number) in taken for name in taken for number in range(1, passes)):
        raise InvalidLFA("a name of a copy is taken")
    tiles: list[SlowTile] = []
    tensors: list[SlowTensor] = []
    tile_shapes: dict[str, Extent] = {}
    lg_of_layer: dict[str, int] = {}
    positions_of_layer: dict[str, list[int]] = {}
    for number in range(passes):
        later = number * length
        for tile in once.tiles:
            tiles.append(
                tile._replace(
                    position=tile.position + later,
                    layer=in_pass(tile.layer, number),
                    flg=tile.flg + number * flgs,
                    lg=tile.lg + number * lgs,
                )
            )
        for tensor in once.tensors:
            kind, layer, index, source = tensor.key
            earliest, latest = tensor.start_range
            least, most = tensor.end_range
            free_end = most == length and tensor.on_dram and not tensor.is_load
            tensors.append(
                tensor._replace(
                    key=(kind, in_pass(layer, number), index, in_pass(source, number)),
                    start_range=(-1 if tensor.is_load else earliest + later, latest + later),
                    end_range=(least + later, passes * length if free_end else most + later),
                    needed_at=None if tensor.needed_at is None else tensor.needed_at + later,
                    made_at=None if tensor.made_at is None else tensor.made_at + later,
                )
            )
        for name, shape in once.tile_shapes.items():
            tile_shapes[in_pass(name, number)] = shape
            lg_of_layer[in_pass(name, number)] = once.lg_of_layer[name] + number * lgs
            positions_of_layer[in_pass(name, number)] = [at + later for at in once.positions_of_layer[name]]
    return SlowPlan(
        once.network, once.batch, once.hardware, tile_shapes, tiles, tensors, lg_of_layer, positions_of_layer
    )


def plan_of_one_pass(network: dict, batch: int, hardware: dict, lfa: dict) -> SlowPlan:
    """Return tiles and tensors of an LFA in one pass."""
    network = divided(network, lfa.get("divisions", []), hardware)
    check_order(network, lfa)
    layers = {layer["name"]: layer for layer in network["layers"]}
    tile_shapes: dict[str, Extent] = {}
    corrected = hardware.get("semantics") == "corrected"
    for flg in lfa["flgs"]:
        shapes = flg_tile_shapes(network, batch, flg["layers"], flg["tiling_number"], corrected)
        tile_shapes.update({name: shapes[name] for name in flg["layers"]})
    costs = {name: tile_cost(layers[name], shape, hardware, network) for name, shape in tile_shapes.items()}

    tiles: list[SlowTile] = []
    lg = -1
    lg_of_layer: dict[str, int] = {}
    positions_of_layer: dict[str, list[int]] = {name: [] for name in layers}
    for flg_number, flg in enumerate(lfa["flgs"]):
        if flg["dram_cut"]:
            lg += 1
        lg_of_layer.update(dict.fromkeys(flg["layers"], lg))
        for index in range(flg["tiling_number"]):
            for name in flg["layers"]:
                positions_of_layer[name].append(len(tiles))
                cost = costs[name]
                shape = tile_shapes[name]
                tiles.append(SlowTile(len(tiles), name, index, shape, cost.cycles, cost.energy_pj, flg_number, lg))

    flg_of_layer = {tile.layer: tile.flg for tile in tiles}
    groups = load_groups(network, lfa, flg_of_layer, lg_of_layer, corrected)
    tensors: list[SlowTensor] = []
    for name in tile_shapes:
        for group in groups:
            if group.readers[0] == name:
                tensors += _load_tensors(network, group, tile_shapes, positions_of_layer, corrected)
        tensors += _ofmap_tensors(network, layers[name], tiles, positions_of_layer, lg_of_layer)
    return SlowPlan(network, batch, hardware, tile_shapes, tiles, tensors, lg_of_layer, positions_of_layer)


# --- Section 3: tensors ---------------------------------------------------------------------------


@dataclass
class LoadGroup:
    """Readers that use the same load, in computing order; the first one loads, and those of its FLG are at `home`."""

    source: str
    """Empty for stored weights."""
    readers: list[str]
    home: list[str]
    flg: list[str]
    """All layers of the first reader's FLG."""


def load_groups(
    network: dict,
    lfa: dict,
    flg_of_layer: dict[str, int],
    lg_of_layer: dict[str, int],
    corrected: bool = False,
    lenient: bool = False,
) -> list[LoadGroup]:
    """Return who loads what for whom: for each layer in computing order its sources in creation order, weights last.

    Raises
    ------
    InvalidLFA
        If a shared load serves nobody, unless `lenient` is set: then that layer loads by itself.
    """
    layers = {layer["name"]: layer for layer in network["layers"]}
    names = [*layers, *(source["name"] for source in network["inputs"])]
    wanted = {(share["layer"], share["source"]) for share in lfa.get("shared_loads", [])}
    groups: list[LoadGroup] = []
    current: dict[tuple[int, str], LoadGroup] = {}  # by LG and what is loaded
    for flg in lfa["flgs"]:
        for name in flg["layers"]:
            layer = layers[name]
            if set(layer.get("ifmaps", [])) & set(layer.get("weight_operands", [])):
                raise ValueError(f"'{name}' reads a layer in both roles: the tensors would have the same name")
            reads = [*producers(layer), *layer.get("inputs", [])]
            sources = [source for source in names if source in reads]
            for source in [*sources, ""] if slow_types.weight_bytes(layer) else sources:
                asked = (name, source) in wanted
                wanted.discard((name, source))
                if source in layers and lg_of_layer[source] == lg_of_layer[name]:
                    if asked and not lenient:
                        raise InvalidLFA(f"'{name}' reads '{source}' on chip")
                    continue
                what = source or f"weights of {layer.get('weights') or name}"
                group = current.get((lg_of_layer[name], what))
                at_home = group is not None and flg_of_layer[group.readers[0]] == flg_of_layer[name]
                joins = group is not None and (
                    source == ""
                    or (
                        _cut_alike(network, [*group.home, name], source)
                        if at_home
                        else _covers(network, group.home, group.flg, source, corrected)
                    )
                )
                if asked and joins:
                    assert group is not None
                    group.readers.append(name)
                    group.home += [name] if at_home else []
                    continue
                if asked and not lenient:
                    raise InvalidLFA(f"'{name}' can't share the load of '{source}'")
                groups.append(LoadGroup(source, [name], [name], flg["layers"]))
                current[lg_of_layer[name], what] = groups[-1]
    if wanted and not lenient:
        raise InvalidLFA(f"shared loads of nothing: {sorted(wanted)}")
    return groups


def _need(network: dict, layer: dict, source: str, tile: Extent, corrected: bool) -> tuple[int, int]:
    """Return the rows and columns of a source that a tile reads."""
    if source in layer.get("weight_operands", []):
        return weight_operand_extent(layer, tile)[2:]
    return ifmap_extent(layer, tile, network, corrected)[2:]


def _cut_alike(network: dict, readers: list[str], source: str) -> bool:
    """Whether rows of a source become rows in all of these layers, or columns in all, if they are cut; also columns."""
    layers = {layer["name"]: layer for layer in network["layers"]}
    shape = source_shapes(network)[source]
    for axis, letter in enumerate("HW", start=1):
        becomes = set()
        for name in readers:
            order = layers[name]["order"].upper() if layers[name]["kind"] == "transpose" else "CHW"
            if source not in layers[name].get("weight_operands", []) and shape[axis] > 1:
                becomes.add(order.find(letter))
        if {1, 2} <= becomes:
            return False
    return True


def _covers(network: dict, home: list[str], flg: list[str], source: str, corrected: bool) -> bool:
    """Whether the tiles that a group loads in its FLG, for the readers `home`, hold all of a source."""
    layers = {other["name"]: other for other in network["layers"]}
    return any(_needs_all(network, layers[name], flg, source, corrected) for name in home)


def _needs_all(network: dict, reader: dict, flg: list[str], source: str, corrected: bool) -> bool:
    """Whether the tiles of a layer in the FLG need all rows and columns of a source together."""
    if source in reader.get("weight_operands", []):
        return True
    whole = _made_whole(network, reader, flg, corrected)
    if reader["kind"] == "transpose":
        origins = [reader["order"].upper().find(letter) for letter in "HW"]
        return origins == [-1, -1] or (whole and (corrected or 0 not in origins))
    shape, ofmap = source_shapes(network)[source], ofmap_shape(reader)
    for axis, (taps, distance, stride) in enumerate((("R", "dH", "sH"), ("S", "dW", "sW")), start=1):
        _, *needed = ifmap_extent(reader, (1, *ofmap), network, corrected)
        if needed[axis] < shape[axis]:
            return False
        if reader["kind"] in (*MATRIX_KINDS, "pool") and ofmap[axis] > 1:
            window, step = _window(reader, taps, distance), reader.get(stride, 1)
            wanted = (ofmap[axis] - 1) * step + window
            padding = 0 if corrected else max(wanted - shape[axis], 0) // 2
            if window - padding < step:
                return False
    return whole


def _made_whole(network: dict, layer: dict, flg: list[str], corrected: bool) -> bool:
    """Whether the tiles of a layer in the FLG make all rows and columns of its ofmap together."""
    consumers = [other for other in network["layers"] if layer["name"] in producers(other)]
    inside = [other for other in consumers if other["name"] in flg]
    if not inside or layer["name"] in network.get("outputs", []):
        return True
    return any(_needs_all(network, other, flg, layer["name"], corrected) for other in inside)


def _load_tensors(
    network: dict,
    group: LoadGroup,
    tile_shapes: dict[str, Extent],
    positions_of_layer: dict[str, list[int]],
    corrected: bool,
) -> list[SlowTensor]:
    layers = {layer["name"]: layer for layer in network["layers"]}
    owner, source = group.readers[0], group.source
    last_of = {name: positions_of_layer[name][-1] for name in group.readers}
    if not source:
        first, end = positions_of_layer[owner][0], max(last_of.values()) + 1
        size, moved = slow_types.weight_bytes(layers[owner]), slow_types.dram_weight_bytes(layers[owner])
        return [SlowTensor(("wgt", owner, 0, ""), size, moved, True, (-1, first), (end, end), first, None)]
    needs = [_need(network, layers[name], source, tile_shapes[name], corrected) for name in group.home]
    rows, columns = (max(need[i] for need in needs) for i in range(2))
    elements = tile_shapes[owner][0] * source_shapes(network)[source][0] * rows * columns
    size = slow_types.packed(elements, slow_types.bits_of(slow_types.source_types(network)[source]))
    tensors = []
    for index, p in enumerate(positions_of_layer[owner]):
        ends = [positions_of_layer[name][index] if name in group.home else last_of[name] for name in group.readers]
        end = max(ends) + 1
        tensors.append(SlowTensor(("ifm", owner, index, source), size, size, True, (-1, p), (end, end), p, None))
    return tensors


def _ofmap_tensors(
    network: dict,
    layer: dict,
    tiles: list[SlowTile],
    positions_of_layer: dict[str, list[int]],
    lg_of_layer: dict[str, int],
) -> list[SlowTensor]:
    name = layer["name"]
    consumers = [other["name"] for other in network["layers"] if name in producers(other)]
    stored = not consumers or any(lg_of_layer[consumer] != lg_of_layer[name] for consumer in consumers)
    stored = stored or name in network.get("outputs", ())
    tensors = []
    for index, p in enumerate(positions_of_layer[name]):
        ends = [p + 1]
        for consumer in consumers:
            last = positions_of_layer[consumer][-1]
            if lg_of_layer[consumer] != lg_of_layer[name]:
                continue  # reads it back from DRAM
            if tiles[last].flg == tiles[p].flg:
                ends.append(positions_of_layer[consumer][index] + 1)
            else:
                ends.append(last + 1)
        end = max(ends)
        size = slow_types.packed(math.prod(tiles[p].shape), slow_types.bits_of(slow_types.ofmap_type(layer)))
        end_range = (end, len(tiles)) if stored else (end, end)
        tensors.append(SlowTensor(("ofm", name, index, ""), size, size, stored, (p, p), end_range, None, p))
    return tensors


# --- Section 4: the DLSA --------------------------------------------------------------------------


def as_records(dlsa: Sequence[Sequence]) -> SlowDLSA:
    """Return the rows of a DLSA as records; items after the seventh are left out."""
    return [Record(*row[:7]) for row in dlsa]


def double_buffering(plan: SlowPlan) -> SlowDLSA:
    """Return the classical DLSA: loads one tile ahead, stores within one tile."""
    last_of_lg = {tile.lg: tile.position for tile in plan.tiles}
    rows = []
    for creation, tensor in enumerate(plan.tensors):
        if not tensor.on_dram:
            continue
        kind = tensor.key[0]
        if tensor.is_load:
            start, end = tensor.needed_at - 1, tensor.end_range[0]
        else:
            p = tensor.made_at
            is_last = p == last_of_lg[plan.tiles[p].lg]
            start, end = p, max(p + 1 if is_last else p + 2, tensor.end_range[0])
        sort_key = (start, kind != "wgt", end, kind != "ifm", creation)
        rows.append((sort_key, Record(*tensor.key, tensor.bytes, start, end)))
    return [record for _, record in sorted(rows)]


def violations(plan: SlowPlan, dlsa: Sequence[Sequence], gbuf_bytes: int) -> list[Violation]:
    """Return every rule that a DLSA breaks; the list is empty for a valid DLSA.

    If the rows are not exactly the plan's DRAM tensors, it reports only that (rule ``tensors``).
    """
    records = as_records(dlsa)
    found = _wrong_tensors(plan, records)
    if found:
        return found
    tensor_of = {tensor.key: tensor for tensor in plan.tensors}
    found += _outside_domain(tensor_of, records)
    found += _out_of_order(plan, records)
    for position, used in enumerate(buffer_usage(plan, records)):
        if used > gbuf_bytes:
            found.append(Violation("3", (), position, f"tile {position} holds {used} bytes of {gbuf_bytes}"))
    return found


def _wrong_tensors(plan: SlowPlan, records: SlowDLSA) -> list[Violation]:
    found = []
    size_of = {tensor.key: tensor.bytes for tensor in plan.dram_tensors}
    keys = [record.key for record in records]
    for key in size_of:
        if key not in keys:
            found.append(Violation("tensors", (key,), None, "is missing"))
    for key in dict.fromkeys(keys):
        if keys.count(key) > 1:
            found.append(Violation("tensors", (key,), None, "stands in the order twice"))
        if key not in size_of:
            found.append(Violation("tensors", (key,), None, "is no DRAM tensor of this plan"))
    for record in records:
        if record.key in size_of and record.bytes != size_of[record.key]:
            found.append(Violation("tensors", (record.key,), None, f"has {size_of[record.key]} bytes"))
    return found


def _outside_domain(tensor_of: dict[Key, SlowTensor], records: SlowDLSA) -> list[Violation]:
    found = []
    for record in records:
        tensor = tensor_of[record.key]
        for what, value, (low, high) in (
            ("Start", record.start, tensor.start_range),
            ("End", record.end, tensor.end_range),
        ):
            if not low <= value <= high:
                text = f"{what} {value} is not in {low}..{high}"
                found.append(Violation("domain", (record.key,), None, text))
    return found


def broken_order_rules(plan: SlowPlan, before: Record, after: Record) -> list[str]:
    """Return which of the rules 1a, 1b and 2 two rows break if they stand in this order."""
    broken = []
    if not before.start < after.end:
        broken.append("1a")
    if after.kind != "ofm":
        needed_at = plan.positions_of_layer[after.layer][after.tile]
        if before.kind == "ofm" and not before.start < needed_at:
            broken.append("1b")
        if before.kind != "ofm" and not before.start <= needed_at:
            broken.append("1b")
    # The load would read what the store has not written yet. (An external input's name is no layer's.)
    if before.kind == "ifm" and after.kind == "ofm" and before.source == after.layer:
        broken.append("2")
    return broken


def _out_of_order(plan: SlowPlan, records: SlowDLSA) -> list[Violation]:
    found = []
    for place, before in enumerate(records):
        for after in records[place + 1 :]:
            for rule in broken_order_rules(plan, before, after):
                keys = (before.key, after.key)
                found.append(Violation(rule, keys, None, "the first must not precede the second"))
    return found


# --- Section 5: figures ---------------------------------------------------------------------------


def buffer_usage(plan: SlowPlan, dlsa: Sequence[Sequence]) -> list[int]:
    """Return the bytes that are held while each tile runs."""
    usage = [0] * len(plan.tiles)
    living = [(record.bytes, record.start, record.end) for record in as_records(dlsa)]
    for tensor in plan.tensors:
        if not tensor.on_dram:
            living.append((tensor.bytes, tensor.start_range[0], tensor.end_range[0]))
    for size, start, end in living:
        for position in range(len(plan.tiles)):
            if start <= position < end:
                usage[position] += size
    return usage


def evaluate(plan: SlowPlan, dlsa: Sequence[Sequence]) -> SlowEvaluation:
    """Return the figures of a DLSA, valid or not, of this plan's DRAM tensors.

    Raises
    ------
    Deadlock
        If the schedule can't run.
    ValueError
        If the rows aren't this plan's DRAM tensors, or a Start lies before -1 or beyond the last tile.
    """
    records = as_records(dlsa)
    if _wrong_tensors(plan, records):
        raise ValueError("not the DRAM tensors of this plan")
    tile_count = len(plan.tiles)
    if not all(-1 <= record.start <= tile_count for record in records):
        raise ValueError("a Start outside the run")
    tensor_of = {tensor.key: tensor for tensor in plan.tensors}

    # What waits for the end of what. Tile p ends after tile p - 1, so it is enough that the first tile that needs a
    # weight, or that a store must precede, waits for it.
    waits_for: dict[tuple[str, int], set[tuple[str, int]]] = {}
    duration: dict[tuple[str, int], int] = {}
    for tile in plan.tiles:
        event = ("tile", tile.position)
        waits_for[event] = {("tile", tile.position - 1)} if tile.position > 0 else set()
        duration[event] = tile.cycles
    for place, record in enumerate(records):
        tensor = tensor_of[record.key]
        event = ("tensor", place)
        waits_for[event] = {("tensor", place - 1)} if place > 0 else set()
        duration[event] = plan.transfer_cycles(tensor.moved)
        if tensor.is_load:
            if record.start > 0:
                waits_for[event].add(("tile", record.start - 1))
            waits_for["tile", tensor.needed_at].add(event)
        else:
            waits_for[event].add(("tile", tensor.made_at))
            if record.end < tile_count:
                waits_for["tile", max(record.end, 0)].add(event)

    begin: dict[tuple[str, int], int] = {}
    try:
        for event in graphlib.TopologicalSorter(waits_for).static_order():
            begin[event] = max((begin[other] + duration[other] for other in waits_for[event]), default=0)
    except graphlib.CycleError as error:
        raise Deadlock(error.args[1]) from None

    usage = buffer_usage(plan, records)
    held = sum(used * tile.cycles for used, tile in zip(usage, plan.tiles, strict=True))
    return SlowEvaluation(
        latency=max(begin[event] + duration[event] for event in begin),
        tile_begin=[begin["tile", position] for position in range(tile_count)],
        tensor_begin=[begin["tensor", place] for place in range(len(records))],
        energy_pj=plan.energy_pj,
        bound=plan.bound,
        usage=usage,
        peak_bytes=max(usage),
        average_bytes=held / plan.compute_cycles,
    )
