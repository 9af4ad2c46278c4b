"""Shared loads by hand: what is loaded, how long it lives, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, Transpose
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.schedule_document import schedule_document
from soma_cp.model.soma.schedule_file import ScheduleFileError, schedule_from_document
from soma_cp.model.soma.tensors import IFM, WGT

K_FROM_X = SharedLoad("k", "x")


def conv(name: str, **fields: int | str) -> Conv:
    sizes: dict[str, int | str] = {"C": 8, "K": 8, "H": 4, "W": 4, **fields}
    return Conv(name=name, inputs=("x",), **sizes)  # type: ignore[arg-type]


def fork(*layers: Layer) -> Problem:
    """Layers that read x, of 8 channels, 4 rows and 4 columns."""
    return Problem(Network("fork", (ExternalInput("x", (8, 4, 4)),), layers), PLATFORMS["edge"])


def loads(plan: Plan, kind: int = IFM) -> list[tuple[str, int, int, int, int]]:
    """Return owner, tile, bytes, position of the first need and End of every load."""
    tensors, layers = plan.tensors, plan.problem.network.layers
    columns = (tensors.layer, tensors.tile, tensors.bytes, tensors.position, tensors.least_end)
    rows = zip(*(column[tensors.kind == kind].tolist() for column in columns), strict=True)
    return [(layers[layer].name, *row) for layer, *row in rows]  # type: ignore[misc]


def test_readers_of_one_flg_use_the_tile_with_their_index() -> None:
    """2 tiles of 2×4 rows×columns, 64 B: q stands at 0 and 2, k at 1 and 3."""
    problem = fork(conv("q"), conv("k"))
    flgs = (FLG(("q", "k"), 2, True),)
    assert loads(make_plan(problem, LFA(flgs))) == [
        ("q", 0, 64, 0, 1),
        ("q", 1, 64, 2, 3),
        ("k", 0, 64, 1, 2),
        ("k", 1, 64, 3, 4),
    ]
    plan = make_plan(problem, LFA(flgs, (K_FROM_X,)))
    assert loads(plan) == [("q", 0, 64, 0, 2), ("q", 1, 64, 2, 4)]
    assert plan.load_readers(0) == (0, 1)


def test_the_load_has_what_the_reader_with_the_widest_window_needs() -> None:
    """Tiles have 2 rows and 2 columns: q needs as many of x, k with its window of 3 rows needs 4·2, 64 B."""
    problem = fork(conv("q", H=2, W=4), conv("k", R=3, S=1, H=2, W=4))
    flgs = (FLG(("q", "k"), 2, True),)
    assert [size for _, _, size, _, _ in loads(make_plan(problem, LFA(flgs)))] == [32, 32, 64, 64]
    plan = make_plan(problem, LFA(flgs, (K_FROM_X,)))
    assert loads(plan) == [("q", 0, 64, 0, 2), ("q", 1, 64, 2, 4)]


def test_readers_of_other_flgs_find_all_tiles_in_the_buffer() -> None:
    """q stands at 0 and 1, k at 2: both tiles live until 3."""
    problem = fork(conv("q"), conv("k"))
    plan = make_plan(problem, LFA((FLG(("q",), 2, True), FLG(("k",), 1, False)), (K_FROM_X,)))
    assert loads(plan) == [("q", 0, 64, 0, 3), ("q", 1, 64, 1, 3)]


def test_no_load_is_shared_across_lgs() -> None:
    problem = fork(conv("q"), conv("k"))
    with pytest.raises(LFAError, match="'k' can't share the load of 'x': no layer before it in its LG loads it"):
        make_plan(problem, LFA((FLG(("q",), 1, True), FLG(("k",), 1, True)), (K_FROM_X,)))


def test_no_reader_shares_tiles_that_leave_out_what_it_needs() -> None:
    """1×1 with stride 2 reads rows 0 and 2: tiles of one row are all that it loads. In one FLG, tiles grow instead."""
    problem = fork(conv("q", H=2, W=2, sH=2, sW=2), conv("k", H=3, W=3))
    apart = (FLG(("q",), 2, True), FLG(("k",), 1, False))
    with pytest.raises(LFAError, match="leave out rows or columns"):
        make_plan(problem, LFA(apart, (K_FROM_X,)))
    assert loads(make_plan(problem, LFA((FLG(("q", "k"), 1, True),), (K_FROM_X,)))) == [("q", 0, 72, 0, 2)]


@pytest.mark.parametrize("stride", [1, 2])
def test_tiles_of_a_fused_owner_have_what_its_consumer_reads(stride: int) -> None:
    """q makes what a 1×1 after it reads: with stride 2, its 4 tiles are 1×1 pixels of 8 B, of 4×4; k needs all 16."""
    side = 4 // stride
    after = Conv(name="after", C=8, K=8, H=side, W=side, sH=stride, sW=stride, ifmaps=("q",))
    problem = fork(conv("q"), after, conv("k"))
    lfa = LFA((FLG(("q", "after"), 4, True), FLG(("k",), 1, False)), (K_FROM_X,))
    if stride == 1:
        assert [size for _, _, size, _, _ in loads(make_plan(problem, lfa))] == [32] * 4
        return
    assert [size for _, _, size, _, _ in loads(make_plan(problem, replace(lfa, shared_loads=())))] == [8] * 4 + [128]
    with pytest.raises(LFAError, match="leave out rows or columns"):
        make_plan(problem, lfa)
    output = Network("fork", problem.network.inputs, problem.network.layers, outputs=("q", "after", "k"))
    plan = make_plan(Problem(output, problem.platform), lfa)  # an output is made whole
    assert [size for _, _, size, _, _ in loads(plan)] == [32] * 4


@pytest.mark.parametrize(("semantics", "rows"), [("published", 1), ("corrected", 2)])
def test_tiles_that_count_padding_as_rows_are_not_all_of_a_source(semantics: str, rows: int) -> None:
    """2 of 2 rows with stride 2 and padding 1 make 3 of 4 rows. The corner tile, as all tiles, needs 1 row: 3 of 4."""
    problem = fork(conv("q", H=3, W=3, R=2, S=2, sH=2, sW=2), conv("k"))
    problem = Problem(problem.network, replace(problem.platform, semantics=semantics))
    lfa = LFA((FLG(("q",), 9, True), FLG(("k",), 1, False)))
    assert loads(make_plan(problem, lfa))[0][2] == 8 * rows * rows
    shared = replace(lfa, shared_loads=(K_FROM_X,))
    if semantics == "corrected":
        assert sum(size for _, _, size, _, _ in loads(make_plan(problem, shared))) == 9 * 32
        return
    with pytest.raises(LFAError, match="leave out rows or columns"):
        make_plan(problem, shared)


def test_readers_that_cut_rows_and_columns_otherwise_share_no_tiles() -> None:
    """4 tiles of 2×2. Tile 1 of k needs columns 2, 3 of rows 0, 1; that of t, which exchanges them, 0, 1 of 2, 3."""
    problem = fork(Transpose(name="t", K=8, H=4, W=4, order="CWH", inputs=("x",)), conv("k"))
    with pytest.raises(LFAError, match="those in the same FLG cut it by another dimension"):
        make_plan(problem, LFA((FLG(("t", "k"), 4, True),), (K_FROM_X,)))
    plan = make_plan(problem, LFA((FLG(("t",), 4, True), FLG(("k",), 1, False)), (K_FROM_X,)))
    assert [size for _, _, size, _, _ in loads(plan)] == [32] * 4
    tokens = Transpose(name="t", K=8, H=16, W=1, order="C**", ifmap=(8, 4, 4), inputs=("x",))
    plan = make_plan(fork(tokens, conv("k")), LFA((FLG(("t", "k"), 4, True),), (K_FROM_X,)))
    assert [size for _, _, size, _, _ in loads(plan)] == [128] * 4


def test_shared_weights_are_loaded_once_and_held() -> None:
    """64 B of weights: two loads, or one from before position 0 to the end of k at 1."""
    problem = fork(conv("q", weights="w"), conv("k", weights="w"))
    flgs = (FLG(("q",), 1, True), FLG(("k",), 1, False))
    assert loads(make_plan(problem, LFA(flgs)), WGT) == [("q", 0, 64, 0, 1), ("k", 0, 64, 1, 2)]
    plan = make_plan(problem, LFA(flgs, (SharedLoad("k", ""),)))
    assert loads(plan, WGT) == [("q", 0, 64, 0, 2)]
    assert plan.load_readers(int((plan.tensors.kind == WGT).argmax())) == (0, 1)
    other = fork(conv("q"), conv("k"))
    with pytest.raises(LFAError, match="no layer before it in its LG has the same"):
        make_plan(other, LFA(flgs, (SharedLoad("k", ""),)))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (SharedLoad("y", "x"), "names the layer 'y'"),
        (SharedLoad("k", "z"), "says that 'k' reads 'z', which it does not read"),
        (SharedLoad("sum", ""), "says that 'sum' reads no weights"),
        (SharedLoad("sum", "q"), "'sum' can't share a load of 'q', which it reads on chip"),
    ],
)
def test_shared_loads_of_nothing_are_refused(share: SharedLoad, said: str) -> None:
    problem = fork(conv("q"), conv("k"), Eltwise(name="sum", K=8, H=4, W=4, ifmaps=("q", "k")))
    with pytest.raises(LFAError, match=said):
        make_plan(problem, LFA((FLG(("q", "k", "sum"), 1, True),), (share,)))


def test_arrays_keep_only_shared_loads_that_serve() -> None:
    problem = fork(conv("q"), conv("k"))
    flgs = (FLG(("q",), 1, True), FLG(("k",), 1, True))
    arrays = lfa_arrays(LFA(flgs), problem.network, problem.table)
    arrays.shares[:] = True
    assert lfa_from_arrays(arrays, problem.network, problem.table) == LFA(flgs)
    arrays.begins_lg[1] = False
    assert lfa_from_arrays(arrays, problem.network, problem.table).shared_loads == (K_FROM_X,)


def test_files_hold_shared_loads(tmp_path: Path) -> None:
    problem = fork(conv("q"), conv("k"))
    lfa = LFA((FLG(("q", "k"), 2, True),), (K_FROM_X,))
    plan = make_plan(problem, lfa)
    document = json.loads(json.dumps(schedule_document(priced(plan, greedy_dlsa(plan)))))
    assert document["version"] == 2
    assert document["lfa"]["shared_loads"] == [{"layer": "k", "source": "x"}]
    assert schedule_from_document(document, "here").plan.lfa == lfa
    document["lfa"]["shared_loads"] = [{"layer": "k"}]
    with pytest.raises(ScheduleFileError, match="shared load number 1: source is missing"):
        schedule_from_document(document, "here")
