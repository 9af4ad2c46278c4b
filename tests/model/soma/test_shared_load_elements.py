"""Shared loads and outputs element by element: no reader of another FLG misses an element, outputs are made whole."""

from hypothesis import given
from support.elements import cells, hull, made_boxes, touched_box
from support.slow_model import load_groups
from support.twins import Pair, examples, pairs


@examples(600)
@given(pairs(max_layers=5))
def test_readers_of_other_flgs_find_every_element_that_they_touch(pair: Pair) -> None:
    network, lfa = pair.case.network, pair.case.lfa
    layers = {layer["name"]: layer for layer in network["layers"]}
    flg_of = {name: number for number, flg in enumerate(lfa["flgs"]) for name in flg["layers"]}
    made = {}
    for flg in lfa["flgs"]:
        made |= made_boxes(network, pair.case.batch, flg["layers"], flg["tiling_number"])
    for name in network.get("outputs", ()):
        assert len(cells(made[name])) == layers[name].get("H", 1) * layers[name].get("W", 1)
    corrected = pair.case.hardware.get("semantics") == "corrected"
    for group in load_groups(network, lfa, flg_of, pair.slow.lg_of_layer, corrected):
        if not group.source:
            continue
        touched = {
            name: [touched_box(network, layers[name], group.source, box) if box else None for box in made[name]]
            for name in group.readers
        }
        held = cells(
            [hull([box for box in boxes if box]) for boxes in zip(*(touched[n] for n in group.home), strict=True)]
        )
        for name in set(group.readers) - set(group.home):
            assert cells(touched[name]) <= held
