"""Hypothesis strategies: small random networks, platforms, LFAs and DLSAs, as documents of the file formats.

`cases` draws a network with everything that a plan needs; `plans` draws the plain-Python plan of a case.
`valid_dlsas` and `any_dlsas` draw DLSAs for such a plan. Everything shrinks towards chains of few small layers, fused
into one FLG of one tile, and towards loads and stores with the shortest living durations. `matrix_tile_cases` draws
large matrix layers with tiles of any extent.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis import reject

from support.slow_core_array import MATRIX_KINDS, VEC_AND_LANE, NoMapping
from support.slow_model import (
    InvalidLFA,
    Record,
    SlowDLSA,
    SlowPlan,
    broken_order_rules,
    divided,
    double_buffering,
    flg_tile_shapes,
    granule,
    load_groups,
    may_be_divided,
    plan,
    producers,
)

KINDS = ("ptp", "conv", "eltwise", "pool", "group_conv", "fc", "transpose", "upsample")
_LIKELY_KINDS = (*KINDS, "conv", "group_conv", "eltwise", "transpose")

Shape = tuple[int, int, int]


class Case(NamedTuple):
    """The arguments of `slow_model.plan`."""

    network: dict
    batch: int
    hardware: dict
    lfa: dict


# --- Networks -------------------------------------------------------------------------------------

_channels = st.sampled_from([1, 2, 3, 4, 6, 8, 16, 48])
_kernels = st.sampled_from([1, 2, 3, 4, 5, 8, 12, 40, 130])
_rows_or_columns = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 14])
_windows = st.sampled_from([1, 2, 3, 5])
_rarely = st.sampled_from([False, False, False, False, True])


class _Builder:
    """A network under construction; `draw` is hypothesis's."""

    def __init__(self, draw: Callable) -> None:
        self.draw = draw
        self.inputs: list[dict] = []
        self.layers: list[dict] = []
        self.shapes: dict[str, Shape] = {}  # of layers and inputs

    def document(self) -> dict:
        self.share_weights()
        read = {source for layer in self.layers for source in producers(layer)}
        outputs = [layer["name"] for layer in self.layers if layer["name"] not in read or self.draw(_rarely)]
        return {"version": 2, "name": "random", "inputs": self.inputs, "outputs": outputs, "layers": self.layers}

    def share_weights(self) -> None:
        """Let matrix layers whose weights have the same shape share them, sometimes."""
        by_shape: dict[tuple[int, ...], list[dict]] = {}
        for layer in self.layers:
            if layer["kind"] in ("conv", "group_conv", "fc") and not layer.get("weight_operands"):
                shape = (layer["K"], layer["C"] // layer.get("G", 1), layer["R"], layer["S"])
                by_shape.setdefault(shape, []).append(layer)
        for number, layers in enumerate(by_shape.values()):
            if len(layers) > 1 and self.draw(st.booleans()):
                for layer in layers:
                    layer["weights"] = f"stored{number}"

    # Sources.

    def new_input(self, channels: int | None = None, extent: tuple[int, int] | None = None) -> str:
        if channels is None:
            channels = self.draw(_channels)
        if extent is None:
            extent = (self.draw(_rows_or_columns), self.draw(_rows_or_columns))
        name = f"in{len(self.inputs)}"
        self.inputs.append({"name": name, "shape": [channels, *extent]})
        self.shapes[name] = (channels, *extent)
        return name

    def pick(self, fits: Callable[[Shape], bool], taken: list[str]) -> str | None:
        """Return one of the sources that fit and aren't taken, or None; it shrinks towards the newest."""
        names = [name for name in reversed(self.shapes) if fits(self.shapes[name]) and name not in taken]
        place = self.draw(st.integers(0, len(names)))
        return names[place] if place < len(names) else None

    def sources_of_one_extent(self) -> list[str]:
        """Return one to three sources of the same rows and columns."""
        sources = [self.pick(lambda shape: True, []) or self.new_input()]
        extent = self.shapes[sources[0]][1:]
        for _ in range(self.draw(st.sampled_from([0, 0, 1, 2]))):
            another = self.pick(lambda shape: shape[1:] == extent, sources)
            sources.append(another or self.new_input(extent=extent))
        return sources

    def operands_of_one_shape(self) -> list[str]:
        sources = [self.pick(lambda shape: True, []) or self.new_input()]
        wanted = self.shapes[sources[0]]
        for _ in range(self.draw(st.sampled_from([1, 0, 2]))):
            another = self.pick(lambda shape: shape == wanted, sources)
            sources.append(another or self.new_input(wanted[0], wanted[1:]))
        return sources

    def source_of_channels(self, channels: int, extent: tuple[int, int] | None, taken: list[str]) -> str:
        """Return a source of `channels` channels, and of `extent` if it is given; make one if there is none."""
        found = self.pick(lambda shape: shape[0] == channels and extent in (None, shape[1:]), taken)
        if found is None and extent is None and self.draw(st.booleans()):
            self.add_conv(kernels=channels)
            found = self.layers[-1]["name"]
        return found or self.new_input(channels, extent)

    # Layers.

    def add(
        self, kind: str, sources: list[str], fields: dict[str, int | str | list[int]], operands: list[str] | None = None
    ) -> None:
        name = f"{kind}{len(self.layers)}"
        layer: dict = {"name": name, "kind": kind, **fields}
        inputs = [source["name"] for source in self.inputs]
        layer["ifmaps"] = [source for source in sources if source not in inputs]
        if operands:
            layer["weight_operands"] = operands
        if any(source in inputs for source in sources):
            layer["inputs"] = [source for source in sources if source in inputs]
        self.layers.append(layer)
        self.shapes[name] = (layer["K"], layer["H"], layer["W"])

    def total_channels(self, sources: list[str]) -> int:
        return sum(self.shapes[source][0] for source in sources)

    def divisor(self, number: int) -> int:
        return self.draw(st.sampled_from([n for n in range(1, number + 1) if number % n == 0]))

    def window(self, available: int, width: int | None = None) -> tuple[int, int, int, int]:
        """Return window, ofmap extent, stride and dilation along one dimension, with or without padding."""
        if width is None:
            width = self.draw(_windows)
        stride = self.draw(st.integers(1, 3))
        dilation = self.draw(st.sampled_from([1, 1, 1, 2, 3]))
        covered = (width - 1) * dilation + 1
        padding = self.draw(st.integers(0, 2 * (covered - 1)))
        padding = max(padding, covered - available)
        most = (available + padding - covered) // stride + 1
        left_out = self.draw(st.sampled_from([0, 0, 0, 1, 2]))
        return width, max(1, most - left_out), stride, dilation

    def window_fields(self, source: str, R: int | None = None, S: int | None = None) -> dict[str, int]:
        _, rows, columns = self.shapes[source]
        R, H, sH, dH = self.window(rows, R)
        S, W, sW, dW = self.window(columns, S)
        dilations = {name: dilation for name, dilation in (("dH", dH), ("dW", dW)) if dilation > 1}
        return {"R": R, "S": S, "H": H, "W": W, "sH": sH, "sW": sW, **dilations}

    def add_conv(self, kernels: int | None = None) -> None:
        sources = self.sources_of_one_extent()
        if kernels is None:
            kernels = self.draw(_kernels)
        fields = {"C": self.total_channels(sources), "K": kernels, **self.window_fields(sources[0])}
        self.add("conv", sources, fields)

    def add_group_conv(self) -> None:
        sources = self.sources_of_one_extent()
        channels = self.total_channels(sources)
        groups = self.divisor(channels)
        kernels = groups * self.draw(st.integers(1, 4))
        fields = {"C": channels, "K": kernels, **self.window_fields(sources[0]), "G": groups}
        self.add("group_conv", sources, fields)

    def add_fc(self) -> None:
        sources = self.sources_of_one_extent()
        _, rows, columns = self.shapes[sources[0]]
        fields = {"C": self.total_channels(sources), "K": self.draw(_kernels), "R": rows, "S": columns}
        self.add("fc", sources, {**fields, "H": 1, "W": 1, "sH": 1, "sW": 1})

    def add_pool(self) -> None:
        sources = self.sources_of_one_extent()
        self.add("pool", sources, {"K": self.total_channels(sources), **self.window_fields(sources[0])})

    def add_eltwise(self) -> None:
        if self.draw(st.sampled_from([False, False, False, True])):
            sources = self.sources_of_one_extent()  # an operand may be a part of a source, or several sources
            operands = self.divisor(self.total_channels(sources))
        else:
            sources = self.operands_of_one_shape()
            operands = len(sources)
        _, rows, columns = self.shapes[sources[0]]
        kernels = self.total_channels(sources) // operands
        self.add("eltwise", sources, {"K": kernels, "H": rows, "W": columns, "N": operands})

    def add_ptp(self) -> None:
        sources = self.sources_of_one_extent()
        _, rows, columns = self.shapes[sources[0]]
        self.add("ptp", sources, {"K": self.total_channels(sources), "H": rows, "W": columns})

    def add_transpose(self) -> None:
        sources = self.sources_of_one_extent()
        _, rows, columns = self.shapes[sources[0]]
        ifmap = {"C": self.total_channels(sources), "H": rows, "W": columns}
        order = self.draw(st.sampled_from(["HCW", "WHC", "CWH", "HWC", "WCH", "CHW"]))
        fields: dict = {}
        if self.draw(_rarely):  # a regrouping, of as many elements or not
            fields = {"ifmap": [ifmap[dim] for dim in "CHW"]}
            order = "".join(self.draw(st.sampled_from([origin, origin.lower(), "*"])) for origin in order)
            ifmap |= {dim: self.draw(_rows_or_columns) for dim in "chw*"}
        K, H, W = (ifmap[origin] for origin in order)
        self.add("transpose", sources, {"K": K, "H": H, "W": W, "order": order, **fields})

    def add_upsample(self) -> None:
        sources = self.sources_of_one_extent()
        _, rows, columns = self.shapes[sources[0]]
        enlarged = {}
        factors = {}
        for place, extent in (("K", self.total_channels(sources)), ("H", rows), ("W", columns)):
            factor = self.draw(st.sampled_from([1, 2, 3]))
            enlarged[place] = extent * factor - self.draw(st.integers(0, factor - 1))
            factors[f"s{place}"] = factor
        self.add("upsample", sources, {**enlarged, **factors})

    def add_product(self, kind: str) -> None:
        """Add a matrix layer whose second operand other layers make."""
        made = [layer["name"] for layer in reversed(self.layers)]
        operands = [self.draw(st.sampled_from(made))]
        kernels, per_group, area = self.shapes[operands[0]]
        if self.draw(st.sampled_from([False, False, True])):
            same_extent = [name for name in made if self.shapes[name][1:] == (per_group, area)]
            others = [name for name in same_extent if name not in operands]
            if others:
                operands.append(self.draw(st.sampled_from(others)))
                kernels += self.shapes[operands[1]][0]
        R = self.divisor(area)
        S = area // R
        groups = self.divisor(kernels) if kind == "group_conv" else 1
        channels = per_group * groups
        source = self.source_of_channels(channels, (R, S) if kind == "fc" else None, operands)
        fields: dict[str, int | str] = {"C": channels, "K": kernels}
        if kind == "fc":
            fields |= {"R": R, "S": S, "H": 1, "W": 1, "sH": 1, "sW": 1}
        else:
            fields |= self.window_fields(source, R, S)
        if kind == "group_conv":
            fields["G"] = groups
        self.add(kind, [source], fields, operands)


_types = st.sampled_from(["int8", "fp16", "int4", "bf16", "fp32", "int5", "fp8"])
_weights = st.sampled_from(["int8", "int4/3", "fp16", "int4", "int3/2:7", "int8/128:48", "bf16", "fp32"])
_ratios = st.sampled_from([1, 0.5, 0.123456])


@st.composite
def typed(draw: Callable, network: dict) -> dict:
    """Draw data types for the layers and inputs of a network; shared weights have one format."""
    weights: dict[str, dict] = {}

    def with_types(layer: dict) -> dict:
        given: dict = {"activation_type": draw(_types)}
        if layer["kind"] in MATRIX_KINDS:
            if draw(st.booleans()):
                given["accumulator_type"] = draw(st.sampled_from(["int32", "fp32", "int16"]))
            if not layer.get("weight_operands"):
                stored = {"weight_type": draw(_weights), "weight_ratio": draw(_ratios)}
                given |= weights.setdefault(layer["weights"], stored) if layer.get("weights") else stored
        return {**layer, **given}

    return {
        **network,
        "version": 3,
        "inputs": [{**source, "type": draw(_types)} for source in network["inputs"]],
        "layers": [with_types(layer) for layer in network["layers"]],
    }


@st.composite
def networks(draw: Callable, max_layers: int = 6, types: bool = False) -> dict:
    """Draw the document of a network of all kinds of layers that passes the package's checks.

    It may have more than `max_layers` layers: a layer may add one new layer to read from. With `types`, its data have
    types of their own.
    """
    builder = _Builder(draw)
    for _ in range(draw(st.integers(1, max_layers))):
        kind = draw(st.sampled_from(_LIKELY_KINDS))
        if kind in ("conv", "group_conv", "fc") and builder.layers and draw(st.booleans()):
            builder.add_product(kind)
        else:
            getattr(builder, f"add_{kind}")()
    document = builder.document()
    return draw(typed(document)) if types else document


# --- Platforms and LFAs ---------------------------------------------------------------------------


def hardware() -> st.SearchStrategy[dict]:
    """Draw the `hardware` of a schedule file; many are not realistic."""
    return st.fixed_dictionaries(
        {
            "gbuf_bytes": st.sampled_from([8 << 20, 32 << 20, 1 << 20, 3000, (5 << 20) + 7]),
            "pe_grid": st.sampled_from([4, 1, 2, 3, 8]),
            "macs_per_pe": st.sampled_from([512, *(macs for macs in VEC_AND_LANE if macs != 512)]),
            "gbuf_bytes_per_cycle": st.sampled_from([256, 512, 16, 1]),
            "dram_bytes_per_cycle": st.sampled_from([16, 128, 1, 3, "128/5", "1001/1000"]),
        },
        optional={
            "semantics": st.sampled_from(["corrected", "published"]),
            "dram_pj_per_byte": st.sampled_from([32.0, 0.0]),
            "vector_ops": st.sampled_from([1, 100]),
            "pe_bus_bytes_per_cycle": st.sampled_from([16, 1]),
            "memory_bytes": st.sampled_from([{"WL1": 20_000}, {"AL1": 300_000, "OL1": 1500}]),
            "energy_pj": st.sampled_from([{"MAC": 1.0, "hop": 0.5}, {"GBUF_read": 2.0, "vector_operation": 0.0}]),
        },
    )


def type_costs(platform: dict) -> st.SearchStrategy[dict]:
    """Draw what a platform says of some types: rates of a half to four times that of INT8, and energies."""
    peak = VEC_AND_LANE[platform["macs_per_pe"]]
    macs = peak[0] * peak[1] * platform["pe_grid"] ** 2
    rates = [{"fp16": macs // 2, "int4": 2 * macs}, {"bf16": 4 * macs, "fp32": macs // 8}, {}]
    return st.fixed_dictionaries(
        {
            "macs_per_cycle_by_type": st.sampled_from(rates),
            "mac_pj_by_type": st.sampled_from([{}, {"fp16": 0.5, "int4": 0.01}]),
        }
    )


def small_arrays() -> st.SearchStrategy[dict]:
    """Draw a platform whose granule is small enough to divide the layers of random networks."""
    small = st.fixed_dictionaries({"pe_grid": st.sampled_from([1, 2]), "macs_per_pe": st.sampled_from([32, 64, 128])})
    return st.tuples(hardware(), small).map(lambda both: both[0] | both[1])


@st.composite
def divisions(draw: Callable, network: dict, kernels: int) -> list[dict]:
    """Draw `divisions` of an `lfa` document: of some layers that may be divided, into parts of that many kernels."""
    found = []
    for layer in network["layers"]:
        granules, rest = divmod(layer["K"], kernels)
        if not may_be_divided(layer) or granules + bool(rest) < 2 or not draw(st.sampled_from([True, True, False])):
            continue
        borders = draw(st.sets(st.integers(1, granules - 1))) if granules > 1 else set()
        ends = [0, *sorted(borders), granules]
        channels = [(end - begin) * kernels for begin, end in itertools.pairwise(ends)]
        if rest:
            place = draw(st.integers(0, len(channels)))
            if len(channels) == 1 or draw(st.booleans()):
                channels.insert(place, rest)
            else:
                channels[place - 1] += rest
        if len(channels) > 1:
            found.append({"layer": layer["name"], "channels": channels})
    return found


batches = st.sampled_from([1, 1, 2, 3, 4, 6])


@st.composite
def lfas(draw: Callable, network: dict, batch: int, max_tiling_number: int = 8, valid: bool = True) -> dict:
    """Draw an `lfa` document: a computing order with producers first, FLCs, DRAM Cuts and tiling numbers.

    Tiling numbers that are too large are lowered if `valid` is set, and in half of the LFAs if it isn't.
    """
    layers = {layer["name"]: layer for layer in network["layers"]}
    waiting = list(layers)
    order: list[str] = []
    while waiting:
        ready = [name for name in waiting if not set(producers(layers[name])) & set(waiting)]
        order.append(ready[draw(st.integers(0, len(ready) - 1))])
        waiting.remove(order[-1])

    flgs = [{"tiling_number": 1, "dram_cut": True, "layers": [order[0]]}]
    for name in order[1:]:
        cut = draw(st.sampled_from(["none", "none", "flc", "dram"]))
        if cut == "none":
            flgs[-1]["layers"].append(name)
        else:
            flgs.append({"tiling_number": 1, "dram_cut": cut == "dram", "layers": [name]})
    lower = valid or draw(st.booleans())
    for flg in flgs:
        number = draw(st.integers(1, max_tiling_number))
        while lower and not _fits(network, batch, flg["layers"], number):
            number -= 1
        flg["tiling_number"] = number
    return {"flgs": flgs, **draw(_shared_loads(network, flgs))}


@st.composite
def _shared_loads(draw: Callable, network: dict, flgs: list[dict]) -> dict:
    """Draw the shared loads of an `lfa` document among those that are possible; no field if there are none."""
    layers = {layer["name"]: layer for layer in network["layers"]}
    flg_of = {name: number for number, flg in enumerate(flgs) for name in flg["layers"]}
    lgs = itertools.accumulate(int(flg["dram_cut"]) for flg in flgs)
    lg_of = {name: lg for lg, flg in zip(lgs, flgs, strict=True) for name in flg["layers"]}
    wish = draw(st.sampled_from(["none", "all", "some"]))
    shares = []
    for name in flg_of:
        for source in [*producers(layers[name]), *layers[name].get("inputs", []), ""]:
            if wish == "all" or (wish == "some" and draw(st.booleans())):
                shares.append({"layer": name, "source": source})
    groups = load_groups(network, {"flgs": flgs, "shared_loads": shares}, flg_of, lg_of, lenient=True)
    served = {(name, group.source) for group in groups for name in group.readers[1:]}
    possible = [share for share in shares if (share["layer"], share["source"]) in served]
    return {"shared_loads": possible} if possible else {}


def _fits(network: dict, batch: int, flg_layers: list[str], tiling_number: int) -> bool:
    try:
        flg_tile_shapes(network, batch, flg_layers, tiling_number)
    except InvalidLFA:
        return False
    return True


@st.composite
def wrong_lfas(draw: Callable, network: dict, batch: int) -> dict:
    """Draw an `lfa` document that breaks a rule which does not depend on shapes."""
    flgs = draw(lfas(network, batch))["flgs"]
    flg = draw(st.sampled_from(flgs))
    layers = {layer["name"]: layer for layer in network["layers"]}
    order = [name for group in flgs for name in group["layers"]]
    edges = [(producer, name) for name in order for producer in producers(layers[name])]
    faults = ["no cut", "tiling number", "no layers", "unknown", "twice", "missing"]
    fault = draw(st.sampled_from([*faults, "order"] if edges else faults))
    if fault == "no cut":
        flgs[0]["dram_cut"] = False
    elif fault == "tiling number":
        flg["tiling_number"] = draw(st.sampled_from([0, -1]))
    elif fault == "no layers":
        flgs.append({"tiling_number": 1, "dram_cut": False, "layers": []})
    elif fault == "unknown":
        flg["layers"].append("no such layer")
    elif fault == "twice":
        flgs[-1]["layers"].append(draw(st.sampled_from(order)))
    elif fault == "missing":
        # A group without layers would be another fault.
        flg["layers"].pop()
        flgs = [group for group in flgs if group["layers"]]
        if flgs:
            flgs[0]["dram_cut"] = True
    else:
        producer, consumer = draw(st.sampled_from(edges))
        renamed = {producer: consumer, consumer: producer}
        for group in flgs:
            group["layers"] = [renamed.get(name, name) for name in group["layers"]]
    return {"flgs": flgs}


@st.composite
def cases(
    draw: Callable,
    max_layers: int = 6,
    max_tiling_number: int = 8,
    valid: bool = True,
    wide: bool = True,
    divides: bool = False,
    types: bool | None = None,
    passes: bool = False,
) -> Case:
    """Draw a network, a batch, a platform and an LFA; without `wide`, an LFA of the paper's space.

    Tiling numbers may be too large unless `valid` is set. A layer may have no mapping on the array. If `divides` is
    set, the LFA may divide layers; if `passes` is, it runs the batch in two or more. With `types`, data have types of
    their own, and the platform knows some; by default in a quarter of the cases.
    """
    if types is None:
        types = draw(st.sampled_from([False, False, False, True]))
    network = draw(networks(max_layers, types))
    batch = draw(st.sampled_from([2, 3, 4, 6]) if passes else batches)
    count = draw(st.sampled_from([n for n in range(2, batch + 1) if batch % n == 0])) if passes else 1
    platform = draw(small_arrays() if divides else hardware())
    if types:
        platform |= draw(type_costs(platform))
    parts = draw(divisions(network, granule(platform))) if divides else []
    lfa = draw(lfas(divided(network, parts, platform), batch // count, max_tiling_number, valid))
    if parts:
        lfa["divisions"] = parts
    if passes:
        lfa["passes"] = {"count": count}
    return Case(network, batch, platform, lfa if wide else {"flgs": lfa["flgs"]})


@st.composite
def plans(draw: Callable, max_layers: int = 6, max_tiling_number: int = 8, divides: bool = False) -> SlowPlan:
    """Draw the plan of a valid case."""
    case = draw(cases(max_layers, max_tiling_number, divides=divides))
    try:
        return plan(*case)
    except NoMapping:
        reject()


# --- Tiles of large matrix layers -----------------------------------------------------------------------


class TileCase(NamedTuple):
    """A layer (the last of the network), a tile extent (b, k, h, w) and a platform."""

    network: dict
    layer: dict
    tile: tuple[int, int, int, int]
    hardware: dict


def _up_to(most: int) -> st.SearchStrategy[int]:
    """Draw a whole number up to `most`; its order of magnitude is uniform, not the number itself."""
    powers = [1 << i for i in range(most.bit_length())]
    return st.sampled_from(powers).flatmap(lambda power: st.integers(power, min(2 * power - 1, most)))


@st.composite
def matrix_tile_cases(draw: Callable) -> TileCase:
    """Draw a conv, group_conv or fc tile of any size.

    In half of the cases the array is small, the layer large, and the GBUF slow, or costly because it is huge: then
    weights and activations need several L1 tiles, and rotation of operands between PEs can pay.
    """
    kind = draw(st.sampled_from(["conv", "group_conv", "fc"]))
    platform = draw(hardware())
    if draw(st.booleans()):
        kind = "conv"
        platform["macs_per_pe"] = draw(st.sampled_from([32, 64, 128, 256]))
        platform["gbuf_bytes_per_cycle"] = draw(st.sampled_from([1, 16, 256]))
        platform["gbuf_bytes"] = draw(st.sampled_from([128 << 20, 64 << 20, 8 << 20]))
        least_channels, least_rows, most_window = 200, 12, 3
    else:
        least_channels, least_rows, most_window = 1, 1, 7
    groups = draw(_up_to(64)) if kind == "group_conv" else 1
    C, K = (groups * max(least_channels, draw(_up_to(2048 // groups))) for _ in range(2))
    R, S = (draw(st.integers(1, most_window)) for _ in range(2))
    if kind == "fc":
        H, W, sH, sW = 1, 1, 1, 1
    else:
        H, W = (max(least_rows, draw(_up_to(128))) for _ in range(2))
        sH, sW = (draw(st.integers(1, 4)) for _ in range(2))
    ifmap = [C, (H - 1) * sH + R, (W - 1) * sW + S]
    layer: dict = {"name": "layer", "kind": kind, "C": C, "K": K}
    layer |= {"R": R, "S": S, "H": H, "W": W, "sH": sH, "sW": sW}
    if kind == "group_conv":
        layer["G"] = groups
    network = {"name": "one layer", "inputs": [{"name": "in", "shape": ifmap}], "layers": [layer]}
    layer["ifmaps"] = []
    if draw(st.sampled_from([False, False, True])):
        shape = [K, C // groups, R * S]
        network["inputs"].append({"name": "operand", "shape": shape})
        maker = {"name": "maker", "kind": "ptp", "K": K, "H": shape[1], "W": shape[2]}
        network["layers"].insert(0, {**maker, "ifmaps": [], "inputs": ["operand"]})
        layer["weight_operands"] = ["maker"]
    layer["inputs"] = ["in"]
    # Channels may exceed the layer's own: a reader of a concatenation asks each producer for all channels.
    channels = draw(st.sampled_from([K, K, K + 1, 2 * K, max(1, K // 2)]))
    rows, columns = (extent - draw(st.integers(0, extent - 1)) // 2 for extent in (H, W))
    return TileCase(network, layer, (draw(_up_to(8)), channels, rows, columns), platform)


# --- DLSAs ----------------------------------------------------------------------------------------


def _drawn_durations(draw: Callable, plan: SlowPlan) -> SlowDLSA:
    """Return the rows of double buffering with random Starts of loads and Ends of stores, in range."""
    rows = double_buffering(plan)
    tensor_of = {tensor.key: tensor for tensor in plan.dram_tensors}
    reach = draw(st.sampled_from([1, 0, 2, 5, len(plan.tiles) + 1]))
    slack = draw(st.lists(st.integers(0, reach), min_size=len(rows), max_size=len(rows)))
    drawn = []
    for row, amount in zip(rows, slack, strict=True):
        tensor = tensor_of[row.key]
        if tensor.is_load:
            drawn.append(row._replace(start=max(tensor.start_range[0], tensor.start_range[1] - amount)))
        else:
            drawn.append(row._replace(end=min(tensor.end_range[1], tensor.end_range[0] + amount)))
    return drawn


@st.composite
def valid_dlsas(draw: Callable, plan: SlowPlan) -> SlowDLSA:
    """Draw a DLSA that is valid, except that it may exceed the capacity (rule 3).

    Durations are any in range, the order is any that the rules allow; every choice of durations allows one.
    """
    rows = _drawn_durations(draw, plan)
    shuffle = draw(st.sampled_from([0, 2, 1000]))
    priority = draw(st.lists(st.integers(0, shuffle), min_size=len(rows), max_size=len(rows)))
    # For each row: how many rows must still come before it, and which rows wait for it.
    blockers = [0] * len(rows)
    waiting_for: list[list[int]] = [[] for _ in rows]
    for i, first in enumerate(rows):
        for j, second in enumerate(rows):
            if i != j and broken_order_rules(plan, first, second):
                blockers[i] += 1
                waiting_for[j].append(i)
    left = set(range(len(rows)))
    order: SlowDLSA = []
    while left:
        i = min((i for i in left if blockers[i] == 0), key=lambda i: (priority[i], rows[i].start, i))
        left.remove(i)
        order.append(rows[i])
        for j in waiting_for[i]:
            blockers[j] -= 1
    return order


@st.composite
def any_dlsas(draw: Callable, plan: SlowPlan, within_range: bool = True) -> SlowDLSA:
    """Draw a DLSA of the plan's DRAM tensors that may break the rules of order.

    It may also break the ranges of Start and End if `within_range` is off. Starts are in -1..T and Ends in 0..T in any
    case. Some of the DLSAs are valid.
    """
    base = draw(st.sampled_from(["valid", "durations", "permutation"]))
    if base == "valid":
        rows = draw(valid_dlsas(plan))
    else:
        rows = _drawn_durations(draw, plan)
    if not rows:
        return rows
    if base == "permutation":
        rows = draw(st.permutations(rows))
    places = st.integers(0, len(rows) - 1)
    tensor_of = {tensor.key: tensor for tensor in plan.dram_tensors}
    changes = ["move", "swap", "duration"] if within_range else ["move", "swap", "duration", "out of range"]
    for change in draw(st.lists(st.sampled_from(changes), max_size=4)):
        place = draw(places)
        if change == "move":
            rows.insert(draw(places), rows.pop(place))
        elif change == "swap":
            other = draw(places)
            rows[place], rows[other] = rows[other], rows[place]
        elif change == "duration":
            row, tensor = rows[place], tensor_of[rows[place].key]
            start = draw(st.integers(*tensor.start_range))
            rows[place] = row._replace(start=start, end=draw(st.integers(*tensor.end_range)))
        else:
            rows[place] = _out_of_range(draw, rows[place], len(plan.tiles))
    return rows


def _out_of_range(draw: Callable, row: Record, tile_count: int) -> Record:
    if draw(st.booleans()):
        return row._replace(start=draw(st.integers(-1, tile_count)))
    return row._replace(end=draw(st.integers(0, tile_count)))
