"""Which rows and columns of its sources each tile touches, element by element: no corner tiles, no maxima.

Boxes are half-open: first row, row after the last, first column, column after the last. A tile may make nothing, where
an ofmap is cut into more parts than it fills.
"""

import math
from fractions import Fraction

from support.slow_model import (
    MATRIX_KINDS,
    forbidden_cuts,
    ofmap_shape,
    producers,
    source_shapes,
    spatial_factors,
)

Box = tuple[int, int, int, int]


def made_boxes(network: dict, batch: int, flg_layers: list[str], tiling_number: int) -> dict[str, list[Box | None]]:
    """Return, for each layer of an FLG, what each of its tiles of the first samples makes."""
    layers = {layer["name"]: layer for layer in network["layers"]}
    parts = tiling_number // math.gcd(batch, tiling_number)
    forbidden = forbidden_cuts(network, flg_layers)
    made: dict[str, list[Box | None]] = {}
    for name in reversed(flg_layers):
        consumers = [layers[other] for other in made if name in producers(layers[other])]
        boxes: list[list[Box]] = [[] for _ in range(parts)]
        for consumer in consumers:
            for tile, box in enumerate(made[consumer["name"]]):
                boxes[tile] += [touched_box(network, consumer, name, box)] if box else []
        if not consumers or name in network.get("outputs", ()):
            _, rows, columns = ofmap_shape(layers[name])
            fh, fw = spatial_factors(rows, columns, parts)
            if "H" in forbidden:
                fh, fw = 1, 1 if "W" in forbidden else parts
            elif "W" in forbidden:
                fh, fw = parts, 1
            h, w = math.ceil(rows / fh), math.ceil(columns / fw)
            for tile in range(parts):
                row, column = divmod(tile % (fh * fw), fw)
                first_row, first_column = row * h, column * w
                if first_row < rows and first_column < columns:
                    box = (first_row, min(first_row + h, rows), first_column, min(first_column + w, columns))
                    boxes[tile].append(box)
        made[name] = [hull(some) for some in boxes]
    return made


def hull(boxes: list[Box]) -> Box | None:
    """Return the least box that holds all boxes."""
    if not boxes:
        return None
    firsts_rows, ends_rows, first_columns, ends_columns = zip(*boxes, strict=True)
    return min(firsts_rows), max(ends_rows), min(first_columns), max(ends_columns)


def touched_box(network: dict, layer: dict, source: str, box: Box) -> Box:
    """Return what a tile that makes `box` of a layer's ofmap reads of a source."""
    _, rows, columns = source_shapes(network)[source]
    if source in layer.get("weight_operands", []):
        return 0, rows, 0, columns
    ofmap, cuts = ofmap_shape(layer), {1: box[:2], 2: box[2:]}
    found: list[int] = []
    for axis, extent in ((1, rows), (2, columns)):
        if layer["kind"] == "transpose":
            origin = layer["order"].upper().find("CHW"[axis])
            first, end = cuts.get(origin, (0, 1))
            share = Fraction(extent, ofmap[origin] if origin in cuts else 1)
            found += [math.floor(first * share), math.ceil(end * share)]
        elif layer["kind"] == "upsample":
            factor = layer.get("sH" if axis == 1 else "sW", 1)
            found += [cuts[axis][0] // factor, math.ceil(cuts[axis][1] / factor)]
        elif layer["kind"] in (*MATRIX_KINDS, "pool"):
            taps, distance, stride = (("R", "dH", "sH"), ("S", "dW", "sW"))[axis - 1]
            step, window = layer.get(stride, 1), (layer.get(taps, 1) - 1) * layer.get(distance, 1) + 1
            wanted = (ofmap[axis] - 1) * step + window
            padding = max(wanted - extent, 0) // 2
            first, end = cuts[axis][0] * step - padding, (cuts[axis][1] - 1) * step + window - padding
            found += [min(max(first, 0), extent), min(max(end, 0), extent)]
        else:
            found += cuts[axis]
    return found[0], found[1], found[2], found[3]


def cells(boxes: list[Box | None]) -> set[tuple[int, int]]:
    """Return the row and column of every element in one of the boxes."""
    return {(r, c) for box in boxes if box for r in range(box[0], box[1]) for c in range(box[2], box[3])}
