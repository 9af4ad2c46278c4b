"""Lower bounds over every LFA of the wide space that know when compute waits for loads: timed paths over downsets.

`soma_cp.solver.every_lfa.path_times` has the words, and the bounds of the paper's space. The paths, their steps and
what these ask of the buffer are those of `soma_cp.solver.every_lfa.wide_paths`: of each layer that may be divided the
last part stands for all, so a path is at the downset J of the layers whose last part has run, and parts of layers
outside of J may have run, too. X(v) are the bytes of v's weights, W(Y) those of the parts Y, C(v) the least cycles of
all of v's channels in any tiling, M(v) the most cycles that are counted of v elsewhere or over all its divisions; s is
the share of its smallest part.

*Which parts may come early.* Let u be outside of J, with a tile before the last tile of J. All its producers are in J,
and u is divided: its last part is later. If u depends on all layers of J, its parts come after all of theirs, so they
are at the earliest in the FLG of J's last layer S; there each of its rounds comes after that of all layers of J. So no
tile of u is before a tile of J of round 0, and its parts' last tiles are after those of J. The *ready* layers of J are
the others: divisible, not in J, all producers in J, not dependent on all of J.

*Compute.* t(J) is the end of the last tile of J. Let o(p) be the sum over layers u outside of J of min(M(u), cycles of
u's tiles that have ended by the end of position p), and o(J) that at t(J). A path has w(J) ≤ t(J) − o(J). Let C be the
cycles that a step from I to J counts at most, of all parts of S's layers. Then w(J) = w(I) + C is such a bound: what
ran of S's layers by t(I) is part of o(I), with no more than C counts of it elsewhere, and what runs of others between
is no less than the rise of o. In the same way, t − o at a position p of S is at least w(I) + C less the cycles counted
of S's tiles after p.

*Loads.* A path has d(J) such that for any set Y of parts outside of J, the last load of weights of J and Y is done at
d(J) + τ·W(Y) or later. (∗) So d(J) = d(I) + τ·ΣX(v) over v ∈ S is such a bound, whenever the parts of S's layers run.

*Anchors.* At the end t of a position p let the buffer hold H bytes that are no weights of layers outside of J, where p
is the last tile of J, the last position of the last round but one of its last FLG, or the last tile of a layer there.
If t − o(p) ≥ e by what was counted, or t ≥ e because of a load that a tile q of round 0 or earlier waited for and of
tiles of J from q to p, then

    d(J) = e − τ·(G − H) − Σ over ready u of (1 − s)·max(0, τ·X(u) − C(u))

has (∗). *Proof.* Let Z be the parts of Y whose last tile is up to p. They belong to ready layers, and have at most
1 − s of their channels. The loads of other parts of Y hold buffer at p if they began before t, so all of these are done
at t + τ·(W(Y \\ Z) − (G − H)) at the earliest. It is left to show that t + Σ (1 − s)·max(0, τX − C) ≥ e + τ·W(Z). If e
was counted, t ≥ e + o(p), and o(p) has at least the share of C(u) of the parts in Z. If tile q waited, let Z' be the
parts of Z whose first tile is before q. Their loads are done by then, so by (∗) q begins τ·W(Z') later than counted;
the tiles of the others run between q and p. ∎ At time 0 nothing has begun: d(∅) = 0.

*Waiting.* If a tile q of J, of round 0 of S or before, begins at D at the earliest, and then tiles of J of c cycles run
by t(J), w(J) = D + c − Σ M(u) over ready u is a bound: other tiles after q take time, those before q are of ready
layers. e = D + c holds of t(J) without the sum, and an anchor at t(J), or before the last tiles, may use it.

*Steps.* As in the paper's space, with what may be less in the wide space:

- d₀ = max(d(I), w(I) − τ·(G − R) − the sum over ready layers of I), with the residents R that wide_paths counts: the
  anchor at t(I), where all their tiles are there. So labels need no other cap on their leads.
- *First tile.* If no part of S's layers may have run by t(I) (they are not divisible, depend on all of I, or have a
  producer in S), the first tile of S waits for all loads of I and for the smallest part of a layer v ∈ S without
  producers in S. Then all of C follows: D = d₀ + τ·min s·X(v), c = C.
- *Last load.* All loads of J are done before the first tile of some part of J. If it is in S, that tile and those of
  the descendants in S follow in round 0, and n − 1 rounds: s of a tile's cycles if the layer is divisible, and s of all
  cycles of layers parts of which may be elsewhere. Otherwise it is before S. D = d₀ + τ·ΣX(v). With n = 1, the tile of
  the last part follows, with at least s of the cycles of all channels.
- *The anchor n = 1*: all that wide_paths asks to fit. *The last position of round n − 2*: all that it asks to fit there
  but weights of guests, less what channels elsewhere may save at most. *The last tile of a layer l*, of its last part:
  as in the paper's space, but s of the weights of l; its other parts have ended. Of layers with channels elsewhere s of
  their tiles count, those of rounds before, too: the others may be in an LG before, or not be loaded yet. Of sources
  some of whose channels may be loaded the least share counts. Of the layers U all parts count, or as many as come
  after: max(0, cycles of a tile − τ·X) is no less than any share of it.
- *Energy and cycles* are the least that wide_paths counts, each by itself: the dual there, with energy alone and with
  cycles alone. A layer divided with one tile has at least those of some choice, or of two in some proportion: of two
  neighbours, the fewer cycles and the less energy.
- *Guests* are outside of J: their cycles are part of o. Their weights are not part of H: a step after counts all of
  them as still to be loaded.

A load serves parts of v whoever owns it: it holds buffer until their last tile. Of weights that several layers have, X
counts those of the first alone, and H as well. Loads of fmaps and external inputs are not in d. So shared loads change
nothing here but what the steps cost and hold.

*Cut for nothing.* Where an LG that keeps nothing is cut (`soma_cp.solver.every_lfa.wide_paths`), R and what stays are
the same, and everything else holds no more.

*Passes.* p passes are p copies of the network at B / p samples that have nothing in common, and all tiles of a copy
come before those of the next (docs/model.md#passes). So a path goes through the downsets p times: from the copies that
have run in whole to them and a downset J of the next. No part of a later copy has a tile before the last of an earlier
one, so all of the above holds with the ready layers of J in its own copy, of which there are none once all of it has
run. Y may have parts of later copies: what of their loads begins before t holds buffer at p like any other. Each copy
begins an LG, so nothing stays. Hence the labels at the end of a pass are those with which the next begins; at the
beginning of the first one alone nothing has begun to load.

*Many passes.* If one label dominates another, so does what a step makes of it; and if x is added to both costs of all
labels before a step, so it is after it. So let each label after k + 1 passes be dominated by one after k passes with x
added to both of its costs: then each after k + 1 + j passes is dominated by one after k + 1 with j·x added. This holds
with merged labels, too. Let F be the exact steps of a pass and m merge labels into some that dominate them. If S + x
dominates S' = m(F(S)), then F(S') is dominated by F(S + x) = F(S) + x, and that by S' + x. (Merging after each step
gives labels that dominate F(S), too.) The code takes k + 1 = `MOST_PASSES`. ∎

*Theorem.* As in the paper's space: the least cost of a label at the end is at most a·Energy + μ·Latency of every LFA,
for μ > 0. Both costs after a step do not fall with those before it: w(J) and d(J) are made of w(I) and d(I) by sums and
maxima. Leads w(J) − d(J) may be less than 0, by no more than Σ M(u) over ready u.
"""

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import FloatArray
from soma_cp.solver.every_lfa import layer_bounds
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices
from soma_cp.solver.every_lfa.layer_choices import LayerChoices
from soma_cp.solver.every_lfa.path_times import LabelledPaths, least_cycles_per_byte
from soma_cp.solver.every_lfa.wide_paths import WidePaths, WideSteps
from soma_cp.solver.every_lfa.wide_steps import WideLayers
from soma_cp.solver.every_lfa.wide_times_kernel import WideTimes, extend_wide_labels

ALONE = np.array([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
"""Multipliers of energy alone, and of cycles of tiles alone."""


class WideTimedPaths(LabelledPaths[WideSteps]):
    """The shortest timed paths of the wide space; see `LabelledPaths`.

    Parameters
    ----------
    paths, multipliers, passes
        As those of `LabelledPaths`; `paths` are those of one pass.
    prices
        The prices of all layers and their parts.
    """

    def __init__(self, paths: WidePaths, prices: LayerPrices, multipliers: FloatArray, passes: int = 1) -> None:
        super().__init__(paths, multipliers, passes)
        if not self._possible:
            return
        layers = paths.priced(prices, ALONE)
        self._input = paths.input._replace(layers=layers, multipliers=ALONE)
        self._times = _wide_times(paths, prices, layers)
        self.weights_pj = paths.weights_pj()
        most = min(paths.problem.platform.gbuf_bytes, passes * int(paths.weights.sum())) * self._times.cycles_per_byte
        self._begin(-float(self._times.outside.max()), most + float(self._times.early.max()))

    def _extend(self, after: int, steps: WideSteps) -> None:
        extend_wide_labels(
            self._input, after, steps.before, self.multipliers, steps.flgs, self._times, self._labels, self._buckets
        )

    def _weights_pj(self) -> float:
        return self.weights_pj


def _wide_times(paths: WidePaths, prices: LayerPrices, layers: WideLayers) -> WideTimes:
    """Return what is known of layers and downsets beside the figures of the paths."""
    problem, share = paths.problem, paths.share
    table, per_byte = problem.table, least_cycles_per_byte(problem)
    every = range(len(table.layers))
    of_any = prices.choices(Budget(0.0), wide=True)
    one_by_one, fine = map(list, zip(*prices.whole_and_fine(wide=True), strict=True))
    undivided = [choice for choice, _ in prices.whole_and_fine()]
    elsewhere, last_tile = list(of_any), np.zeros(len(table.layers))
    for layer in prices.part_sizes:
        one_by_one[layer] = of_any[layer]
        known = prices.per_channel(layer)
        if known is not None:
            elsewhere[layer] = known[1]
            least = min(float(known[0][0, -1, 0]), float(_least([undivided[layer]])[0]))
            last_tile[layer] = share[layer] * least if least < np.inf else 0.0
    stored = np.where(table.is_output, layers.whole[: len(table.layers)], 0)
    np.add.at(stored, table.reader[paths.untracked], layers.alone_bytes[paths.untracked])
    moved_pj = stored * problem.platform.dram_pj_per_byte
    most = np.maximum(_most(of_any), _most(elsewhere))
    early = (1 - share) * np.maximum(0.0, per_byte * paths.weights - _least(elsewhere))
    counts = [len(choice.cycles) for choice in one_by_one]
    return WideTimes(
        choice_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        choice_cycles=np.concatenate([choice.cycles for choice in one_by_one]).astype(np.float64),
        choice_pj=np.concatenate([one_by_one[layer].energy_pj + moved_pj[layer] for layer in every]),
        last_tile=last_tile,
        most_elsewhere=most,
        fine_cycles=_least(fine),
        most_fine=_most(fine),
        fine_number=layer_bounds.MOST_PARTS + 1,
        outside=_ready(paths, most),
        early=_ready(paths, early),
        cycles_per_byte=per_byte,
    )


def _ready(paths: WidePaths, of_layer: FloatArray) -> FloatArray:
    """Return float64[N]: by downset, the sum over layers outside of it parts of which may run before its last tile.

    Those are the layers that may be divided, have all producers in it, and do not depend on all of it.
    """
    found, divisible = np.zeros(len(paths.input.member)), paths.share < 1
    for downset, inside in enumerate(paths.input.member):
        waits = paths.uses[~inside].any(axis=0)
        after_all = paths.input.depends[:, inside].all(axis=1)
        found[downset] = of_layer[divisible & ~inside & ~waits & ~after_all].sum()
    return found


def _least(choices: list[LayerChoices]) -> FloatArray:
    """Return float64[L]: the least cycles of each layer's choices; infinite if there is none."""
    return np.array([choice.cycles[0] if len(choice.cycles) else np.inf for choice in choices], np.float64)


def _most(choices: list[LayerChoices]) -> FloatArray:
    """Return float64[L]: the most cycles of each layer's choices; 0 if there is none."""
    return np.array([choice.cycles[-1] if len(choice.cycles) else 0.0 for choice in choices], np.float64)
