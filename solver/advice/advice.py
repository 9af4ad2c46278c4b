"""What a line of advice says: a lever or a limit, what it is worth, and how that is known."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from soma_cp.model.hardware.quantities import KIB, MIB
from soma_cp.model.objective import Objective

WORTH_SAYING = 0.005
"""Advice that is worth less than this share is not given."""


class Topic(Enum):
    """What a line speaks of."""

    BUFFER = "buffer"
    DRAM = "dram_bandwidth"
    SEARCH = "search"
    STALL = "stall"
    COMPUTE = "compute"
    NOTHING = "nothing"


class Basis(Enum):
    """How the figure of a line is known."""

    REPRICED = "same schedule, re-priced"
    SEARCHED = "short search"
    MEASURED = "counted in this schedule"
    BOUND = "lower bound"
    NONE = "nothing found"


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A line of advice; shares are of the cost or the latency of the schedule, and a gain below 0 is a loss.

    Parameters
    ----------
    topic, basis
        What it speaks of, and how its figure is known.
    objective
        The objective of the gains.
    change_bytes, change_bytes_per_second
        Change of the buffer's capacity, of the DRAM bandwidth; None for other topics.
    becomes_bytes, becomes_bytes_per_second
        The capacity, the bandwidth after that change.
    estimated_gain, estimated_latency_gain
        Shares by which the cost and the latency fall at least: a valid schedule of the changed platform does.
    checked_gain, checked_latency_gain
        The same after the problem was solved again with the change; None if it was not.
    most_gain, most_gain_of_any
        Shares by which the latency can fall at most, by more DRAM bandwidth: with this LFA; and with any LFA, None if
        that is not known.
    stall_cycles, stall_share
        Cycles that the core array waits for tensors of one kind and layer, and their share of the latency.
    kind_stall_share
        Share of the latency in which it waits for any tensor of that kind.
    tensor, layer
        Kind (``"wgt"``, ``"ifm"``, ``"ofm"``) and layer of these tensors.
    at_start
        Whether all this is before the first tile.
    compute_share
        Share of the latency in which the core array computes.
    tried
        For `Topic.NOTHING`: the changes that were tried.
    """

    topic: Topic
    basis: Basis
    objective: Objective
    change_bytes: int | None = None
    becomes_bytes: int | None = None
    change_bytes_per_second: float | None = None
    becomes_bytes_per_second: float | None = None
    estimated_gain: float | None = None
    estimated_latency_gain: float | None = None
    checked_gain: float | None = None
    checked_latency_gain: float | None = None
    most_gain: float | None = None
    most_gain_of_any: float | None = None
    stall_cycles: int | None = None
    stall_share: float | None = None
    kind_stall_share: float | None = None
    tensor: str | None = None
    layer: str | None = None
    at_start: bool = False
    compute_share: float | None = None
    tried: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """The gain that is known best: the checked one, or the estimate; 0 for limits."""
        return next((gain for gain in (self.checked_gain, self.estimated_gain) if gain is not None), 0.0)

    @property
    def change(self) -> str:
        """The change of the hardware in a few words; empty for other topics."""
        if self.topic is Topic.BUFFER:
            assert self.change_bytes is not None
            assert self.becomes_bytes is not None
            if self.change_bytes < 0:
                return f"half the buffer ({size_text(self.becomes_bytes)})"
            return f"+{size_text(self.change_bytes)} buffer"
        if self.topic is Topic.DRAM:
            assert self.change_bytes_per_second is not None
            assert self.becomes_bytes_per_second is not None
            if self.change_bytes_per_second < 0:
                return f"half the DRAM bandwidth ({rate_text(self.becomes_bytes_per_second)})"
            return f"+{rate_text(self.change_bytes_per_second)} DRAM bandwidth"
        return ""

    @property
    def text(self) -> str:
        """The line."""
        return _TEXTS[self.topic](self)

    def document(self) -> dict[str, Any]:
        """Return it as an object of ``--json``."""
        fields = asdict(self)
        shares = ("estimated_gain", "estimated_latency_gain", "checked_gain", "checked_latency_gain")
        most = ("most_gain", "most_gain_of_any")
        return {
            "lever": self.topic.value,
            "basis": self.basis.value,
            "text": self.text,
            **{name: fields[name] for name in ("change_bytes", "change_bytes_per_second")},
            **{f"{name}_share": fields[name] for name in shares},
            **{f"{name.replace('most_gain', 'most_latency_gain')}_share": fields[name] for name in most},
            **{name: fields[name] for name in ("stall_cycles", "stall_share", "tensor", "layer", "compute_share")},
        }


def size_text(size: int) -> str:
    """Format bytes of a buffer."""
    unit, name = (MIB, "MiB") if size >= MIB else (KIB, "KiB")
    return f"{size / unit:.4g} {name}"


def rate_text(bytes_per_second: float) -> str:
    """Format a bandwidth."""
    unit, name = (1e9, "GB/s") if bytes_per_second >= 0.9995e9 else (1e6, "MB/s")
    return f"{bytes_per_second / unit:.4g} {name}"


def signed(gain: float) -> str:
    """Format by how much a figure changes that falls by the share `gain`."""
    tenths = round(-gain * 1000)
    sign = "−" if tenths < 0 else "+" if tenths > 0 else "±"
    return f"{sign}{abs(tenths) / 10:.1f} %"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _gains(advice: Advice, gain: float, latency_gain: float | None) -> str:
    """Return the change of the cost, and that of the latency where it differs."""
    exponents = (advice.objective.energy_exponent, advice.objective.delay_exponent)
    name = _PLAIN.get(exponents, advice.objective.text)
    text = f"{signed(gain)} {name}"
    if latency_gain is None or name == "latency" or signed(latency_gain) == signed(gain):
        return text
    return f"{text}, {signed(latency_gain)} latency"


_PLAIN = {(0.0, 1.0): "latency", (1.0, 0.0): "energy"}


def _lever_text(advice: Advice) -> str:
    assert advice.estimated_gain is not None
    how = _HOW[advice.basis]
    saves = min(advice.change_bytes or 0, advice.change_bytes_per_second or 0) < 0
    subject = f"{advice.change} would do" if saves and round(advice.gain, 3) <= 0 else advice.change
    if advice.checked_gain is not None:
        checked = _gains(advice, advice.checked_gain, advice.checked_latency_gain)
        return f"{subject}: {checked} (re-solved; {how}: {signed(advice.estimated_gain)})"
    if round(advice.estimated_gain, 3) == 0:
        return f"{subject}: no loss ({how})"
    most = "at most" if advice.estimated_gain < 0 else "at least"
    return f"{subject}: {most} {_gains(advice, advice.estimated_gain, advice.estimated_latency_gain)} ({how})"


_HOW = {Basis.REPRICED: "same schedule re-priced", Basis.SEARCHED: "short search"}


def _search_text(advice: Advice) -> str:
    assert advice.estimated_gain is not None
    estimate = _gains(advice, advice.estimated_gain, advice.estimated_latency_gain)
    return f"a longer search: at least {estimate} on the same hardware (short search)"


_TENSORS = {"wgt": ("the weights of layer {}", "all weights"), "ifm": ("the input of layer {}", "all inputs")}
_STORES = ("room, until the output of layer {} is stored", "all stores")


def _stall_text(advice: Advice) -> str:
    assert advice.stall_share is not None
    assert advice.kind_stall_share is not None
    one, all_of_kind = _TENSORS.get(advice.tensor or "", _STORES)
    text = f"waits for {one.format(advice.layer)}{' at the start' if advice.at_start else ''}"
    text += f": {_percent(advice.stall_share)} of the latency"
    if advice.kind_stall_share - advice.stall_share >= WORTH_SAYING:
        text += f" ({all_of_kind}: {_percent(advice.kind_stall_share)})"
    return text


def _compute_text(advice: Advice) -> str:
    assert advice.compute_share is not None
    assert advice.most_gain is not None
    text = f"computing: {_percent(advice.compute_share)} of the latency"
    most = _percent(advice.most_gain)
    text += f"; more DRAM bandwidth gains at most {most}"
    if advice.most_gain_of_any is None:
        return f"{text} with this layer fusion"
    of_any = _percent(advice.most_gain_of_any)
    return f"{text}, {'whatever the layer fusion' if of_any == most else f'with another layer fusion {of_any}'}"


def _nothing_text(advice: Advice) -> str:
    if not advice.tried:
        return "no stall; no change of the hardware was tried"
    return f"found nothing worth {_percent(WORTH_SAYING)}; tried {', '.join(advice.tried)}"


_TEXTS = {
    Topic.BUFFER: _lever_text,
    Topic.DRAM: _lever_text,
    Topic.SEARCH: _search_text,
    Topic.STALL: _stall_text,
    Topic.COMPUTE: _compute_text,
    Topic.NOTHING: _nothing_text,
}
