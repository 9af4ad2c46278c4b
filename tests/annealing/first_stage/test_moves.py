"""The first stage's moves: what they make, as often as documented, by brute force."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from support.annealing_cases import EDGE, SEEDS, Distribution, assert_drawn_from, builtin_problem, keeps_groups_apart
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case

from soma_cp.annealing.first_stage import moves
from soma_cp.annealing.first_stage.paper_search import layers_kept_apart
from soma_cp.model.network.layers import ExternalInput, Layer, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_table import network_table
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA, LFAArrays, LFAError, check_lfa, unfused_lfa
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays


def forked_network() -> Network:
    """Eight layers with some freedom of order; sizes that any tiling number here can cut."""

    def layer(name: str, *ifmaps: str) -> Layer:
        return PointToPoint(
            name=name, K=2 * max(len(ifmaps), 1), H=64, W=64, ifmaps=ifmaps, inputs=() if ifmaps else ("in",)
        )

    layers = (layer("a"), layer("b", "a"), layer("c", "a"), layer("d"), layer("e", "b", "c"), layer("f", "d"))
    layers += (replace(layer("g", "e", "f"), K=6), layer("h"))
    return Network("forked", (ExternalInput("in", (2, 64, 64)),), layers)


FORKED = forked_network()
FORKED_LFA = LFA(
    (
        FLG(("a", "b"), 4, True),
        FLG(("d",), 2, False),
        FLG(("c", "e", "f"), 6, True),
        FLG(("g",), 3, False),
        FLG(("h",), 8, True),
    )
)
"""Three LGs of 3, 4 and 1 layers, two FLCs inside them, even and odd tiling numbers."""

TABLE = Problem(FORKED, EDGE).table
Move = Callable[[LFAArrays, np.random.Generator], bool]


def on_forked_network(kernel: Callable[..., bool]) -> Move:
    return lambda lfa, random: kernel(TABLE, lfa, random)


def certain(lfas: Iterable[LFA], otherwise: LFA) -> Distribution[LFA]:
    """Draw one of `lfas` uniformly, `otherwise` if there are none."""
    made = list(lfas) or [otherwise]
    return mixture((1 / len(made), {lfa: 1.0}) for lfa in made)


def mixture(parts: Iterable[tuple[float, Distribution[LFA]]]) -> Distribution[LFA]:
    shares: Distribution[LFA] = defaultdict(float)
    for weight, part in parts:
        for lfa, share in part.items():
            shares[lfa] += weight * share
    return dict(shares)


def producers_first(lfa: LFA) -> bool:
    try:
        check_lfa(lfa, FORKED)
    except LFAError:
        return False
    return True


def with_order(lfa: LFA, order: list[str]) -> LFA:
    """Return the LFA with other layers at the same places."""
    left = iter(order)
    return LFA(tuple(replace(flg, layers=tuple(next(left) for _ in flg.layers)) for flg in lfa.flgs))


def flg_places(lfa: LFA) -> list[int]:
    """Return the places at which FLGs begin, and the number of layers."""
    return np.cumsum([0, *(len(flg.layers) for flg in lfa.flgs)]).tolist()


def merged(lfa: LFA, flg: int) -> Distribution[LFA]:
    """Merge the FLGs number `flg` − 1 and `flg`."""
    first, second = lfa.flgs[flg - 1 : flg + 1]
    parts = []
    for kept in (first, second):
        whole = FLG(first.layers + second.layers, kept.tiling_number, first.dram_cut)
        share = len(kept.layers) / len(whole.layers)
        parts.append((share, {LFA((*lfa.flgs[: flg - 1], whole, *lfa.flgs[flg + 1 :])): 1.0}))
    return mixture(parts)


def with_dram_cut(lfa: LFA, place: int) -> LFA:
    """Return the LFA with a DRAM Cut before `place`, which may be inside an FLG."""
    flgs = []
    for begin, flg in zip(flg_places(lfa), lfa.flgs, strict=False):
        inside = place - begin
        if inside == 0:
            flgs.append(replace(flg, dram_cut=True))
        elif 0 < inside < len(flg.layers):
            flgs.append(replace(flg, layers=flg.layers[:inside]))
            flgs.append(replace(flg, layers=flg.layers[inside:], dram_cut=True))
        else:
            flgs.append(flg)
    return LFA(tuple(flgs))


def changes_of_order(lfa: LFA) -> Distribution[LFA]:
    order = list(lfa.computing_order)
    parts = []
    for old, name in enumerate(order):
        others = order[:old] + order[old + 1 :]
        changed = [with_order(lfa, [*others[:new], name, *others[new:]]) for new in range(len(order)) if new != old]
        parts.append((1 / len(order), certain(filter(producers_first, changed), otherwise=lfa)))
    return mixture(parts)


def changes_of_tiling(lfa: LFA) -> Distribution[LFA]:
    parts = []
    for i, flg in enumerate(lfa.flgs):
        for number in (flg.tiling_number * 2, flg.tiling_number / 2):
            whole = flg.tiling_number if number % 1 else int(number)
            changed = LFA((*lfa.flgs[:i], replace(flg, tiling_number=whole), *lfa.flgs[i + 1 :]))
            parts.append((0.5 / len(lfa.flgs), {changed: 1.0}))
    return mixture(parts)


def removals_of_an_flc(lfa: LFA) -> Distribution[LFA]:
    flcs = [i for i, flg in enumerate(lfa.flgs) if not flg.dram_cut]
    return mixture((1 / len(flcs), merged(lfa, i)) for i in flcs) if flcs else {lfa: 1.0}


def lg_borders(lfa: LFA) -> list[int]:
    """Return the FLGs before which a border between two LGs runs."""
    return [i for i, flg in enumerate(lfa.flgs) if flg.dram_cut and i > 0]


def fusions_of_lgs(lfa: LFA) -> Distribution[LFA]:
    borders = lg_borders(lfa)
    return mixture((1 / len(borders), merged(lfa, i)) for i in borders) if borders else {lfa: 1.0}


def splits_of_an_lg(lfa: LFA) -> Distribution[LFA]:
    return certain([with_dram_cut(lfa, place) for place in range(len(lfa.computing_order))], otherwise=lfa)


def moves_of_a_border(lfa: LFA) -> Distribution[LFA]:
    borders = lg_borders(lfa)
    places = flg_places(lfa)
    parts = []
    for border in borders:
        begin = max((places[i] for i in [0, *borders] if i < border), default=0)
        end = min((places[i] for i in borders if i > border), default=len(lfa.computing_order))
        flgs = list(lfa.flgs)
        flgs[border] = replace(flgs[border], dram_cut=False)
        others = [place for place in range(begin + 1, end) if place != places[border]]
        changed = [with_dram_cut(LFA(tuple(flgs)), place) for place in others]
        parts.append((1 / len(borders), certain(changed, otherwise=lfa)))
    return mixture(parts) if parts else {lfa: 1.0}


def moves_of_dram_cuts(lfa: LFA) -> Distribution[LFA]:
    parts = ((0.3, fusions_of_lgs(lfa)), (0.3, splits_of_an_lg(lfa)), (0.4, moves_of_a_border(lfa)))
    return mixture(parts)


def published_moves(lfa: LFA) -> Distribution[LFA]:
    return mixture(
        (
            (0.2, changes_of_order(lfa)),
            (0.35, changes_of_tiling(lfa)),
            (0.15, removals_of_an_flc(lfa)),
            (0.3, moves_of_dram_cuts(lfa)),
        )
    )


OPERATORS: dict[str, tuple[Move, Callable[[LFA], Distribution[LFA]]]] = {
    "change order": (on_forked_network(moves.change_order), changes_of_order),
    "change tiling": (moves.change_tiling, changes_of_tiling),
    "remove FLC": (moves.remove_flc, removals_of_an_flc),
    "fuse LGs": (moves.fuse_lgs, fusions_of_lgs),
    "split LG": (moves.split_lg, splits_of_an_lg),
    "move border": (moves.move_border, moves_of_a_border),
    "all by their weights": (on_forked_network(moves.paper_move), published_moves),
}

START_LFAS = {
    "some of all": FORKED_LFA,
    "unfused": unfused_lfa(FORKED),
    "one FLG": LFA((FLG(FORKED_LFA.computing_order, 5, True),)),
    "LGs of one and two layers": LFA(
        (
            FLG(("a", "b"), 4, True),
            FLG(("d",), 2, True),
            FLG(("c",), 6, True),
            FLG(("e",), 1, True),
            FLG(("f",), 3, False),
            FLG(("g", "h"), 5, True),
        )
    ),
}


@pytest.mark.parametrize("start", START_LFAS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_of_the_first_stage_make_what_is_documented_as_often_as_documented(operator: str, start: str) -> None:
    move, documented = OPERATORS[operator]
    lfa = START_LFAS[start]
    start_arrays = lfa_arrays(lfa, FORKED, TABLE)
    random = np.random.default_rng(3)
    known: dict[bytes, LFA] = {}

    def draw() -> LFA:
        arrays = LFAArrays(*(column.copy() for column in start_arrays))
        changed = move(arrays, random)
        content = b"".join(column.tobytes() for column in arrays)
        if content not in known:
            known[content] = lfa_from_arrays(arrays, FORKED, TABLE)
        assert changed == (known[content] != lfa)
        return known[content]

    assert_drawn_from(documented(lfa), draw, 12_000 if operator == "all by their weights" else 3_000)


def test_tiling_numbers_stop_growing() -> None:
    lfa = LFA((FLG(FORKED_LFA.computing_order, moves.MAX_TILING_NUMBER, True),))
    arrays = lfa_arrays(lfa, FORKED, network_table(FORKED))
    random = np.random.default_rng(0)
    for _ in range(50):
        moves.change_tiling(arrays, random)
        assert arrays.tiling[0] <= moves.MAX_TILING_NUMBER


@examples(60)
@given(cases(max_layers=10), SEEDS)
def test_moves_keep_producers_first_and_groups_well_formed(case: Case, seed: int) -> None:
    problem = problem_of_case(case)
    arrays = lfa_arrays(lfa_of(case.lfa), problem.network, problem.table)
    random = np.random.default_rng(seed)
    for _ in range(80):
        moves.paper_move(problem.table, arrays, random)
        assert arrays.begins_flg[0]
        assert arrays.begins_lg[0]
        assert not (arrays.begins_lg & ~arrays.begins_flg).any()
        assert (arrays.tiling[arrays.begins_flg] >= 1).all()
        check_lfa(lfa_from_arrays(arrays, problem.network, problem.table), problem.network)


# First stage: what is kept apart.


@pytest.mark.parametrize(
    ("network", "apart"),
    [
        ("resnet50", [{"pool5", "fc"}]),
        # Dropout is modelled as a fully connected layer of its own; no pool stands right before the classifier.
        ("inception-resnet-v1", [{"AvgPool", "Dropout"}, {"FC"}]),
        ("gpt2-small-prefill", []),
    ],
)
def test_fully_connected_layers_stay_with_the_pools_before_them(network: str, apart: list[set[str]]) -> None:
    problem = builtin_problem(network)
    groups = layers_kept_apart(problem)
    names = np.array([layer.name for layer in problem.network.layers])
    found = [set(names[groups == group].tolist()) for group in np.unique(groups[groups > 0])]
    assert found == apart
    assert sum(groups > 0) == sum(map(len, apart))


def test_an_lg_that_mixes_groups_is_told_from_one_that_does_not() -> None:
    problem = builtin_problem("resnet50")
    apart = layers_kept_apart(problem)
    network = problem.network

    def with_cuts_before(*names: str) -> LFAArrays:
        arrays = lfa_arrays(unfused_lfa(network), network, network_table(network))
        arrays.begins_lg[1:] = False
        for name in names:
            arrays.begins_lg[network.layer_id[name]] = True
        return arrays

    assert keeps_groups_apart(lfa_arrays(unfused_lfa(network), network, network_table(network)), apart)
    assert keeps_groups_apart(with_cuts_before("pool5"), apart)
    assert keeps_groups_apart(with_cuts_before("conv1", "pool1", "pool5", "fc"), apart)
    assert not keeps_groups_apart(with_cuts_before(), apart)
    assert not keeps_groups_apart(with_cuts_before("fc"), apart)
    # An FLC is no DRAM Cut.
    assert not keeps_groups_apart(with_cuts_before("pool1"), apart)
