"""LFAs (Layer-Fusion-related Attributes) by hand, in names of layers."""

from collections.abc import Iterable, Mapping, Sequence

from soma_cp.api.values import whole
from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.network.network import Division
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad


def make_lfa(
    computing_order: Sequence[str],
    *,
    flcs: Iterable[str] = (),
    dram_cuts: Iterable[str] = (),
    tiling_numbers: int | Mapping[str, int] = 1,
    shared_loads: Iterable[tuple[str, str]] = (),
    divisions: Mapping[str, Sequence[int]] | None = None,
    passes: int = 1,
) -> LFA:
    """Return the LFA with these attributes; `make_schedule` checks it against a network.

    Parameters
    ----------
    computing_order
        Names of all layers in the order in which they run.
    flcs
        Fine-grained layer-fusion cuts: the layers that begin an FLG (fine-grained layer-fusion group).
    dram_cuts
        DRAM Cuts: the layers that begin an LG (layer-fusion group), and so an FLG, too. The first layer always does.
    tiling_numbers
        Into how many tiles the layers of an FLG are cut: for all FLGs, or by the name of a layer of each; FLGs that
        are not named have one tile for each layer.
    shared_loads
        Pairs of a layer and what it reads from the load of a layer before it; outside of the paper's space.
    divisions
        Output channels of the parts of each layer that is divided, by its name; outside of the paper's space. The parts
        of a layer ``a`` are called ``a/1``, ``a/2`` and so on in all names above.
    passes
        In how many passes the batch is run, a divisor of it; all else is that of one pass. Outside of the paper's
        space.

    Raises
    ------
    LFAError
        If a name is not in the computing order, or an FLG is given two tiling numbers.

    Examples
    --------
    >>> import soma_cp as sc
    >>> lfa = sc.make_lfa(["a", "b", "c"], dram_cuts=["c"], tiling_numbers={"a": 4, "c": 2})
    >>> [(flg.layers, flg.tiling_number) for flg in lfa.flgs]
    [(('a', 'b'), 4), (('c',), 2)]
    >>> lfa = sc.make_lfa(["a/1", "a/2", "b"], divisions={"a": [256, 128]})
    >>> lfa.divisions
    (Division(layer='a', channels=(256, 128)),)
    """
    order = tuple(computing_order)
    if not order or isinstance(computing_order, str):
        raise LFAError(f"computing_order={computing_order!r} (must list the names of all layers)")
    cuts, fine = set(dram_cuts) | set(order[:1]), set(flcs)
    named = tiling_numbers if isinstance(tiling_numbers, Mapping) else {}
    known = set(order)
    for what, names in (("dram_cuts", cuts), ("flcs", fine), ("tiling_numbers", set(named))):
        for name in sorted(names - known):
            hint = nearest_name_hint(name, order)
            raise LFAError(f"{what} names '{name}', which is not in the computing order{hint}")
    groups: list[list[str]] = []
    for name in order:
        if name in cuts or name in fine:
            groups.append([])
        groups[-1].append(name)
    flgs = tuple(FLG(tuple(group), _tiling_number(group, tiling_numbers), group[0] in cuts) for group in groups)
    place = {name: at for at, name in enumerate(order)}
    shared = sorted((SharedLoad(*share) for share in shared_loads), key=lambda of: (place.get(of.layer, -1), of.source))
    divided = tuple(_division(*one) for one in (divisions or {}).items())
    return LFA(flgs, tuple(shared), divided, whole("passes", passes, 1))


def _division(layer: str, channels: Sequence[int]) -> Division:
    return Division(layer, tuple(whole(f"divisions['{layer}']", number, 1) for number in channels))


def _tiling_number(group: Sequence[str], given: int | Mapping[str, int]) -> int:
    if not isinstance(given, Mapping):
        return whole("tiling_numbers", given, 1)
    numbers = {name: whole(f"tiling_numbers['{name}']", given[name], 1) for name in group if name in given}
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{number} for '{name}'" for name, number in numbers.items())
        raise LFAError(f"tiling_numbers gives one FLG different numbers ({listed}); give one")
    return next(iter(numbers.values()), 1)
