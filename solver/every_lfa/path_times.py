"""Lower bounds over every LFA of the paper's space that know when compute waits for loads: timed paths over downsets.

`soma_cp.solver.every_lfa.downset_paths` has the paths, the steps that may be taken, and their energy. It bounds latency
by all tile cycles and by all transfers. But loads can't come as early as the channel has time for them: what has begun
to load holds buffer until it is used. So compute may end early parts long before the weights of late ones are there.

Words: a path is at the downset J, its last LG began at A; G are the bytes of the buffer; a transfer takes at least τ
cycles for each byte that it has in the buffer. c(J) is a lower bound on the end of the last tile of J, d(J) on the time
when all loads of the layers in J are done, those of the path's steps. *Lead* is c(J) − d(J) ≥ 0.

*Anchor.* At the end t of the tile at a position p let the buffer hold H bytes at p that are no loads of layers outside
of J, where no layer outside of J has run by t. If layers of J' \\ J load X bytes, then all loads of J' are done at
t + τ·(X − (G − H)) at the earliest. *Proof.* A load that begins before t may begin at a tile up to p, so it holds
buffer from p or earlier until its tile, which comes after p. So the loads of layers of J' \\ J that begin before t hold
G − H bytes at p at most. All others begin at t or later, one after another. ∎ At time 0 no load has begun: with t = 0,
all X count.

So d(J') ≥ d(J) + τ·X along a step from J to J', whichever anchor d(J) comes from, and a new anchor may raise it.

*Steps.* Let the FLG S = J \\ I with Tiling Number n and weights of W bytes lie in an LG from A to B. R, v(l), live(l),
late(l), k and kept layers are those of downset_paths: residents are the layers of I \\ A that a layer of B \\ I reads.
At the end of the last tile of I, all tiles of residents are held, R bytes at least. So

    d₀ = max(d(I), c(I) − τ·(G − R))

is a bound on when all loads of I are done, by the anchor there. Let C be the cycles of all tiles of S.

- n = 1, a layer l that loads X bytes (its weights, and its tile's from other LGs): its only tile begins after c(I) and
  after all loads of J. At its end, the buffer holds the bytes H that downset_paths asks to fit, R among them.

      c(J) = max(c(I), d₀ + τ·X) + C;    d(J) = max(d₀ + τ·X, c(J) − τ·(G − H))

- n ≥ 2, tiles that load x bytes together in each round: W and x are loaded before some tile of round 0 of a layer with
  loads. After it come the tiles of its descendants in this round, and n − 1 rounds of C / n cycles. s is the least sum
  over layers of S of the cycles of a tile and of one of each descendant in S.

      e = max(c(I) + C, d₀ + τ·(W + x) + s + (n − 1)·C / n);    c(J) = max(e, d₀ + τ·(W + n·x))

  The last tile of round n − 2 ends at e − C / n or later, and belongs to a layer l that nothing in S reads. There the
  buffer holds W + R + (n − 1)·k + late(l): each layer of S has had a tile and has one to come. The x bytes of the last
  round are not counted there, so they are loaded after it or are among the bytes beside these.

      d(J) ≥ e − C / n + τ·(x − (G − W − R − (n − 1)·k − late(l)))

  Let l be any layer of S, and let some layers U of S, neither ancestors nor descendants of l, come after it. Its last
  tile ends at e or later, but for a tile of each descendant of l in S and of U. At this position, the buffer holds
  live(l) and n − 1 tiles of each kept layer, which have run in the rounds before, the weights of l, of these
  descendants and of U, and the residents that a layer of B \\ J, l, or one of these descendants reads. The least over
  all U is that of each layer of U by itself.

      d(J) ≥ e − Σ cycles of a tile of descendants and U − τ·(G − all these bytes)

- More parts than `MOST_PARTS`: C and the energy are the least over all such tilings, each by itself; x and s are 0, and
  kept layers hold what downset_paths counts. n counts as `MOST_PARTS` + 1, the least. All bounds above hold for
  this C and this n, too: they are those on e, and on e − C / n, and have (1 − 1 / n)·C or (1 − 2 / n)·C, which is no
  more than that of the true C and n.

*FLGs of one tile* are taken apart into layers, as in downset_paths: then each tile is the last of its downset, and the
conditions for n = 1 hold of it: residents in the same FLG are held in whole, too, until their last reader has run.

*States* are those of `soma_cp.solver.every_lfa.lg_classes`: R, what is kept and what is stored hang on them alone. An
LG that goes on though it keeps nothing may be cut for nothing here, too: residents, and so all times, stay the same.

*Theorem.* For multipliers a ≥ 0 and μ > 0, let the *cost* of a path be a·energy + μ·c(J), and its *loaded cost*
a·energy + μ·d(J). Of two paths to the same state, one with no more of both *dominates* the other, whatever its lead:
c(J) and d(J) do not fall with c(I) or d(I), and grow by x if both of these do; so both costs after a step depend on
those before it alone, and do not fall with either. The least cost of a label at the end, with all weights' energy, is
at most a·Energy + μ·Latency of every LFA and DLSA. *Proof.* By induction along the path of the LFA, some label of each
state has at most its costs, with its true energy and with c(J) and d(J), which are below the true times. ∎ Labels of
nearly the same lead are merged into one with the least of each cost: this dominates all of them.

*What is counted.* Weights of a layer are loaded by itself in the paper's space. External inputs count as loads of
layers of more than one tile no more than stores do: not at all. τ is that of the least ratio of bytes in DRAM to bytes
in the buffer. Where one attention head stands for all, the order of the others is lost, and there is no bound.

*Rounding.* As in downset_paths: all times are at most the latency, and take a few additions each.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import BoolArray, FloatArray
from soma_cp.model.network import network_table as nt
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa import layer_bounds
from soma_cp.solver.every_lfa.downset_paths import ROUNDING, DownsetPaths, Steps
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices
from soma_cp.solver.every_lfa.lg_classes import LGClasses
from soma_cp.solver.every_lfa.path_times_kernel import (
    Buckets,
    Labels,
    TimeFigures,
    close_labels,
    extend_labels,
    pack_labels,
)

MOST_DOWNSETS = 200
"""Networks with more have no timed paths."""
MOST_STATES = 256
"""Nor have networks with a downset of more states."""
BUCKETS = 1024
"""Labels of different leads in a state."""
MOST_PASSES = 3
"""Passes that are gone through; what the others take at least follows from the last two of these."""

SomeSteps = TypeVar("SomeSteps")
GivenSteps = TypeVar("GivenSteps", covariant=True)


class _Input(Protocol):
    @property
    def member(self) -> BoolArray: ...
    @property
    def classes(self) -> LGClasses: ...


class Paths(Protocol[GivenSteps]):
    """The paths without times, in the paper's space or in the wide space."""

    @property
    def problem(self) -> Problem:
        """The problem."""

    @property
    def input(self) -> _Input:
        """The downsets and the states."""

    @property
    def stores(self) -> tuple[FloatArray, FloatArray]:
        """What `store_costs` returns."""

    @property
    def found_of_all(self) -> bool:
        """Whether all paths are found, and none of the layers is left out."""

    def steps_to(self, after: int, budget: Budget) -> Iterator[GivenSteps | None]:
        """Yield all steps to a downset, a few at a time; None, and no more, if `budget` ends first."""


class LabelledPaths(ABC, Generic[SomeSteps]):
    """The shortest timed paths, for all multipliers at once; they go on where a budget ended.

    Parameters
    ----------
    paths
        The paths without times, all of which are found.
    multipliers
        float64[M, 2]: of energy, of latency; the latter are above 0.
    passes
        How often the paths are run; `soma_cp.solver.every_lfa.wide_times` has the theorem.
    """

    def __init__(self, paths: Paths[SomeSteps], multipliers: FloatArray, passes: int = 1) -> None:
        self.multipliers = multipliers
        self._passes = passes
        self._ended: list[list[FloatArray]] = []  # the labels at the end of each pass
        self._paths, self._done = paths, 1
        self._possible = paths.found_of_all and len(paths.input.member) <= MOST_DOWNSETS
        if self._possible:
            first_state = paths.input.classes.state_first
            self._possible = int(np.diff(first_state).max()) <= MOST_STATES

    def _begin(self, least: float, longest: float) -> None:
        """Make room for labels, leads between these cycles told apart."""
        marks = len(self.multipliers)
        shape = (int(np.diff(self._paths.input.classes.state_first).max()), marks, BUCKETS)
        width = max(longest - least, 1.0) / BUCKETS
        self._buckets = Buckets(np.full(shape, np.inf), np.full(shape, np.inf), least, width)
        self._begin_pass([np.zeros((1, 2))] * marks)  # nothing has run: no cost, no lead

    def _begin_pass(self, labels: list[FloatArray]) -> None:
        """Begin at no layer with these labels, float64[…, 2] by multipliers: cost and loaded cost."""
        first_state, marks = self._paths.input.classes.state_first, len(self.multipliers)
        every = labels * int(first_state[1])  # by state
        ends = np.cumsum([len(one) for one in every])
        first = np.zeros(first_state[-1] * marks + 1, np.int64)
        first[1 : len(ends) + 1] = ends
        self._count = int(ends[-1])
        room = np.zeros(max(0, (1 << 12) - self._count))
        cost, loaded = np.concatenate(every).T
        self._labels = Labels(first, np.concatenate([cost, room]), np.concatenate([loaded, room]))
        self._done = 1

    @abstractmethod
    def _extend(self, after: int, steps: SomeSteps) -> None:
        """Add the labels after these steps to a downset to the buckets."""

    @abstractmethod
    def _weights_pj(self) -> float:
        """Return the energy of loading all weights."""

    @property
    def can_go_on(self) -> bool:
        """Whether more time could find more: there are few enough downsets, and some are left."""
        return self._possible and self._done < len(self._paths.input.member)

    def costs(self, budget: Budget) -> FloatArray | None:
        """Return float64[M]: costs that no schedule is below; None if `budget` ends first, or if they are not known."""
        if not self._possible:
            return None
        while self.can_go_on:
            if budget.over or not self._end_at(self._done, budget):
                return None
            self._done += 1
            if not self.can_go_on:
                self._end_pass()
        ended = self._ended[-1]
        if not all(map(len, ended)):
            return None
        found = np.array([labels[:, 0].min() for labels in ended])
        left = self._passes - len(self._ended)
        if left > 0:
            found += left * np.array([_least_growth(*each) for each in zip(*self._ended[-2:], strict=True)])
        found += self.multipliers[:, 0] * self._weights_pj() * self._passes
        return found if np.isfinite(found).all() else None

    def _end_pass(self) -> None:
        """Note the labels at the end of a pass; begin the next one, if it is gone through."""
        labels, marks = self._labels, len(self.multipliers)
        ends = pairwise(labels.first[-1 - marks :].tolist())
        ended = [np.column_stack([labels.cost[a:b], labels.loaded[a:b]]) for a, b in ends]
        self._ended.append(ended)
        if len(self._ended) < min(self._passes, MOST_PASSES) and all(map(len, ended)):
            self._begin_pass(ended)

    def _end_at(self, after: int, budget: Budget) -> bool:
        """Find the labels of one downset; return False if `budget` ends first."""
        paths, buckets = self._paths, self._buckets
        for steps in paths.steps_to(after, budget):
            if steps is None:
                buckets.cost[:] = buckets.loaded[:] = np.inf
                return False
            self._extend(after, steps)
        classes = paths.input.classes
        close_labels(classes, after, self.multipliers, paths.stores[0], buckets)
        states = int(classes.state_first[after]), int(classes.state_first[after + 1])
        while (count := pack_labels(buckets, states, self._labels, self._count, len(self._labels.cost))) < 0:
            first, *labels = self._labels
            self._labels = Labels(first, *(np.concatenate([one, np.zeros(len(one))]) for one in labels))
        self._count = count
        return True


def _least_growth(before: FloatArray, after: FloatArray) -> float:
    """Return the most by which all labels before may rise so that each label after is still dominated by one of them.

    Both are float64[…, 2]: cost and loaded cost.
    """
    return float((after[:, None] - before[None]).min(axis=2).max(axis=1).min())


class TimedPaths(LabelledPaths[Steps]):
    """The shortest timed paths of the paper's space; see `LabelledPaths`.

    Parameters
    ----------
    paths, multipliers
        As those of `LabelledPaths`.
    prices
        The prices of all layers.
    """

    def __init__(self, paths: DownsetPaths, prices: LayerPrices, multipliers: FloatArray) -> None:
        super().__init__(paths, multipliers)
        if self._possible:
            problem, self._input = paths.problem, paths.input
            self._times = _time_figures(paths, prices)
            weights = int(problem.table.layers[:, nt.WEIGHT_BYTES].sum())
            self._begin(0.0, min(problem.platform.gbuf_bytes, weights) * self._times.cycles_per_byte)

    def _extend(self, after: int, steps: Steps) -> None:
        extend_labels(
            self._input, after, steps.before, self.multipliers, steps.flgs, self._times, self._labels, self._buckets
        )

    def _weights_pj(self) -> float:
        problem = self._paths.problem
        return float(problem.table.layers[:, nt.DRAM_WEIGHT_BYTES].sum()) * problem.platform.dram_pj_per_byte


def _time_figures(paths: DownsetPaths, prices: LayerPrices) -> TimeFigures:
    """Return what is known of the layers beside the figures of the paths."""
    problem, figures = paths.problem, paths.input.layers
    table, dram_pj = problem.table, problem.platform.dram_pj_per_byte
    external = table.source < 0
    moved_pj = {}
    for name, of_edge in (("alone", figures.alone_pj), ("fine", figures.fine_pj)):
        moved_pj[name] = np.where(table.is_output, figures.whole * dram_pj, 0.0)
        np.add.at(moved_pj[name], table.reader[external], of_edge[external])
    one_by_one, fine = zip(*prices.whole_and_fine(), strict=True)
    counts = [len(choice.cycles) for choice in one_by_one]
    of_one_tile = [choice.energy_pj + moved_pj["alone"][layer] for layer, choice in enumerate(one_by_one)]
    return TimeFigures(
        choice_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        choice_cycles=np.concatenate([choice.cycles for choice in one_by_one]).astype(np.float64),
        choice_pj=np.concatenate(of_one_tile),
        fine_cycles=np.array([choice.cycles[0] if len(choice.cycles) else np.inf for choice in fine], np.float64),
        fine_pj=np.array([choice.energy_pj.min(initial=np.inf) for choice in fine]) + moved_pj["fine"],
        fine_number=layer_bounds.MOST_PARTS + 1,
        uses=paths.uses,
        cycles_per_byte=least_cycles_per_byte(problem),
    )


def least_cycles_per_byte(problem: Problem) -> float:
    """Return the least cycles in which any load moves for each byte that it takes in the buffer."""
    layers, rate = problem.table.layers, problem.platform.dram_rate
    least_ratio = min(1.0, float((layers[:, nt.RATIO_OVER] / layers[:, nt.RATIO_UNDER]).min()))
    return least_ratio * rate.cycles / rate.bytes * (1 - ROUNDING)
