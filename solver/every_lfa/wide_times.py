"""DOC"""

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
    """The shortest timed paths of the wide space in one pass; see `LabelledPaths`.

    Parameters
    ----------
    paths, multipliers
        As those of `LabelledPaths`.
    prices
        The prices of all layers and their parts.
    """

    def __init__(self, paths: WidePaths, prices: LayerPrices, multipliers: FloatArray) -> None:
        super().__init__(paths, multipliers)
        if not self._possible:
            return
        layers = paths.priced(prices, ALONE)
        self._input = paths.input._replace(layers=layers, multipliers=ALONE)
        self._times = _wide_times(paths, prices, layers)
        self.weights_pj = paths.weights_pj()
        most = min(paths.problem.platform.gbuf_bytes, int(paths.weights.sum())) * self._times.cycles_per_byte
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
