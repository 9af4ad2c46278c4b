"""Detectors and segmentation with queries: YOLOv8, RetinaNet, DETR."""

import numpy as np

from support.onnx_corpus.graph import Graph


def _conv(g: Graph, x: str, inside: int, outside: int, kernel: int, name: str, stride: int = 1) -> str:
    with g.scope(name):
        return g.silu(g.conv(x, inside, outside, kernel, stride))


def _c2f(g: Graph, x: str, inside: int, outside: int, blocks: int, shortcut: bool, name: str) -> str:
    """YOLOv8's C2f: a 1×1, a division in halves, bottlenecks of the last, a concatenation of all, a 1×1."""
    half = outside // 2
    with g.scope(name):
        parts = g.chunk(_conv(g, x, inside, outside, 1, "cv1"), [half, half], 1)
        for i in range(blocks):
            with g.scope(f"m.{i}"):
                y = _conv(g, _conv(g, parts[-1], half, half, 3, "cv1"), half, half, 3, "cv2")
                parts.append(g("Add", parts[-1], y) if shortcut else y)
        return _conv(g, g("Concat", *parts, axis=1), (2 + blocks) * half, outside, 1, "cv2")


def yolov8() -> Graph:
    """YOLOv8 at 64×64 with two levels: C2f, SPPF, decoupled head, DFL, boxes from distances, one output of boxes."""
    g = Graph(17)
    x = g.input("images", ["batch", 3, 64, 64])
    with g.scope("model"):
        x = _conv(g, _conv(g, x, 3, 16, 3, "0", 2), 16, 32, 3, "1", 2)
        x = _c2f(g, x, 32, 32, 1, True, "2")
        low = x = _c2f(g, _conv(g, x, 32, 64, 3, "3", 2), 64, 64, 1, True, "4")  # 64 × 8 × 8
        x = _c2f(g, _conv(g, x, 64, 128, 3, "5", 2), 128, 128, 1, True, "6")
        with g.scope("9"):  # SPPF
            pools = [_conv(g, x, 128, 64, 1, "cv1")]
            for _ in range(3):
                pools.append(g.max_pool(pools[-1], 5, 1, 2))
            high = _conv(g, g("Concat", *pools, axis=1), 256, 128, 1, "cv2")  # 128 × 4 × 4
        scales = g.const([1, 1, 2, 2], np.float32)
        up = g(
            "Resize",
            *(high, "", scales),
            coordinate_transformation_mode="asymmetric",
            cubic_coeff_a=-0.75,
            mode="nearest",
            nearest_mode="floor",
        )
        low = _c2f(g, g("Concat", up, low, axis=1), 192, 64, 1, False, "12")
        x = g("Concat", _conv(g, low, 64, 64, 3, "13", 2), high, axis=1)
        high = _c2f(g, x, 192, 128, 1, False, "15")
        with g.scope("22"):
            _head(g, (low, 64, 8), (high, 128, 4))
    return g


def _head(g: Graph, *levels: tuple[str, int, int], classes: int = 20, bins: int = 16) -> None:
    rows, cells = [], sum(side * side for _, _, side in levels)
    for i, (x, channels, _) in enumerate(levels):
        box = _conv(g, _conv(g, x, channels, 64, 3, f"cv2.{i}.0"), 64, 64, 3, f"cv2.{i}.1")
        box = g.conv(box, 64, 4 * bins, name=f"cv2.{i}.2")
        kind = _conv(g, _conv(g, x, channels, 32, 3, f"cv3.{i}.0"), 32, 32, 3, f"cv3.{i}.1")
        kind = g.conv(kind, 32, classes, name=f"cv3.{i}.2")
        rows.append(g.reshape(g("Concat", box, kind, axis=1), 1, 4 * bins + classes, -1))
    box, kind = g.chunk(g("Concat", *rows, axis=2), [4 * bins, classes], 1)
    with g.scope("dfl"):
        box = g.transpose(g.reshape(box, 1, 4, bins, cells), 0, 2, 1, 3)
        box = g.reshape(g.conv(g("Softmax", box, axis=1), bins, 1, bias=False), 1, 4, cells)
    first, second = g.slice(box, 1, 0, 2), g.slice(box, 1, 2, 4)
    anchors = g.weight("anchors", 1, 2, cells)
    top, bottom = g("Sub", anchors, first), g("Add", anchors, second)
    centre = g("Div", g("Add", top, bottom), g.scalar(2))
    box = g("Mul", g("Concat", centre, g("Sub", bottom, top), axis=1), g.weight("strides", 1, cells))
    g.output(g("Concat", box, g("Sigmoid", kind), axis=1), "output0", ["batch", 4 + classes, cells])


def retinanet() -> Graph:
    """RetinaNet: a pyramid, and heads whose weights all three levels share; levels are outputs."""
    g = Graph(13)
    x = g.input("input", ["batch", 3, 128, 128])
    x = g("Relu", g.conv(x, 3, 32, 7, 4, name="stem"))
    c3 = g("Relu", g.conv(x, 32, 64, 3, 2, name="layer2"))
    c4 = g("Relu", g.conv(c3, 64, 128, 3, 2, name="layer3"))
    with g.scope("fpn"):
        p4 = g.conv(c4, 128, 64, name="inner.1")
        up = g(
            "Resize",
            *(p4, "", "", g("Concat", g.slice(g("Shape", p4), 0, 0, 2), g.slice(g("Shape", c3), 0, 2, 4), axis=0)),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
        p3 = g.conv(g("Add", g.conv(c3, 64, 64, name="inner.0"), up), 64, 64, 3, name="layer.0")
        p4 = g.conv(p4, 64, 64, 3, name="layer.1")
        p5 = g.conv(p4, 64, 64, 3, 2, name="p6")
    for level, x in enumerate((p3, p4, p5)):
        for head, outside in (("cls", 9 * 10), ("box", 9 * 4)):
            with g.scope(f"head.{head}"):
                y = x
                for i in range(2):
                    y = g("Relu", g.conv(y, 64, 64, 3, name=f"tower.{i}"))
                y = g.conv(y, 64, outside, 3, name="final")
                g.output(g("Sigmoid", y) if head == "cls" else y, f"{head}_{level}")
    return g


def detr() -> Graph:
    """DETR: pixels of the last fmap are tokens, an encoder and decoder layers, queries and positions are stored."""
    g = Graph(13)
    x = g.input("inputs", [1, 3, 64, 64])
    x = g("Relu", g.conv(x, 3, 32, 7, 4, name="backbone.0"))
    x = g("Relu", g.conv(x, 32, 64, 3, 2, name="backbone.1"))  # 64 × 8 × 8
    x = g.conv(x, 64, 64, name="input_proj")
    x = g.transpose(g.reshape(x, 1, 64, -1), 0, 2, 1)
    position = g.weight("position", 1, 64, 64)
    with g.scope("encoder.0"):
        q = g("Add", x, position)
        x = g.layer_norm(g("Add", x, _attention(g, q, q, x, 64, 64, 64, 4, "self_attn")), 64, "norm1")
        x = g.layer_norm(g("Add", x, _feed_forward(g, x, 64, 128)), 64, "norm2")
    with g.scope("decoder.0"):
        queries = g.weight("query_embed", 1, 20, 64)
        first = g.weight("first_target", 1, 20, 64)
        # The first self-attention reads stored tensors alone, so it is constant; the second reads data.
        t = g.layer_norm(first, 64, "norm1")
        a = _attention(g, g("Add", t, queries), g("Add", x, position), x, 64, 20, 64, 4, "cross_attn")
        t = g.layer_norm(g("Add", t, a), 64, "norm2")
        t = g.layer_norm(g("Add", t, _feed_forward(g, t, 64, 128)), 64, "norm3")
    with g.scope("decoder.1"):
        q = g("Add", t, queries)
        t = g.layer_norm(g("Add", t, _attention(g, q, q, t, 64, 20, 20, 4, "self_attn")), 64, "norm1")
    g.output(g.linear(t, 64, 21, "class_embed"), "logits", [1, 20, 21])
    boxes = g("Relu", g.linear(t, 64, 64, "bbox_embed.0"))
    g.output(g("Sigmoid", g.linear(boxes, 64, 4, "bbox_embed.1")), "pred_boxes", [1, 20, 4])
    return g


def _attention(g: Graph, q: str, k: str, v: str, width: int, rows: int, columns: int, heads: int, name: str) -> str:
    with g.scope(name):
        d = width // heads
        q = g("Mul", g.linear(q, width, width, "q_proj"), g.scalar(d**-0.5))
        queries = g.heads(q, 1, rows, heads, d)
        keys = g.heads(g.linear(k, width, width, "k_proj"), 1, columns, heads, d)
        values = g.heads(g.linear(v, width, width, "v_proj"), 1, columns, heads, d)
        flat = [g.reshape(t, heads, -1, d) for t in (queries, keys, values)]
        scores = g("Softmax", g("MatMul", flat[0], g.transpose(flat[1], 0, 2, 1)), axis=2)
        out = g.reshape(g("MatMul", scores, flat[2]), 1, heads, rows, d)
        return g.linear(g.merged(out, 1, rows, width), width, width, "out_proj")


def _feed_forward(g: Graph, x: str, width: int, inner: int) -> str:
    return g.linear(g("Relu", g.linear(x, width, inner, "fc1")), inner, width, "fc2")
