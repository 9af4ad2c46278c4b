"""Windows of a run solved exactly: a lower bound on the latency of plans that are too large for CP-SAT as a whole.

Notation as in `windows`: ``E_p`` is the end of tile p − 1 (0 for p = 0), ``C_f`` the begin of tile f (the end of the
run for f = T). The window (p, f) asks for the least ``C_f − E_p`` of any DLSA. What happens outside of it can only
delay it, so it is *relaxed*: the piece of the tiles p − 1 … f, with the loads that tiles p … f need and the stores of
the tiles p − 1 … f − 1 that may have to be finished by then, every other tensor with its shortest living duration.

Proof that the optimum of this piece bounds ``C_f − E_p`` from below. Take any valid schedule of the plan, and move what
the window does not see:

- Tile p − 1 gets as many cycles as all loads of the window together have. A load that begins before ``E_p`` is alive at
  position p − 1; it is moved into that tile, one such load after another. It reads no store of the window, since these
  begin at ``E_p`` or later.
- Tile f gets no cycles. A store that ends after ``C_f`` is alive at position f; those are moved behind ``C_f``, one
  after another, which `channel_tail` allows at no cost. No load of the window reads one: it would begin too late.
- Everything else keeps its time after ``E_p``. The moved transfers left their places, so the channel serves one
  transfer at a time; living durations are the same at the positions p − 1 … f, so the buffer holds them.

The result is a solution of the piece that takes ``C_f − E_p`` after tile p − 1. The first window (p = 0) has no tile
before it, the last (f = T) none behind it, and ends when all of its transfers have.

So each solved window is an arc ``C_f ≥ E_p + work``. They are laid end to end, (p, f) before (f + 1, g), and the
longest path through them, the tiles between, and the window bound of the whole run is the bound. Plans that repeat
(passes, blocks) have few windows that differ: equal ones are solved once.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import IntArray
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.piece import Piece, alike_transfers, without_suffix
from soma_cp.solver.second_stage.piecewise import solve_piece
from soma_cp.solver.second_stage.windows import Windows, dram_windows

EXACT_WINDOWS = "windows solved by CP-SAT"
FIRST_LOOK_TIME = 0.3
"""Deterministic time for a window before pieces are solved."""
MOST_LAGS = 8
"""So many distances between alike tiles are looked at as periods of a plan."""


@dataclass(frozen=True, eq=False)
class Window:
    """A window as a piece of its own; its optimum is that of `piece` without the `lead` cycles of tile p − 1."""

    piece: Piece
    lead: int


@dataclass(frozen=True)
class Arc:
    """``C_f ≥ E_p + work`` in every DLSA of the plan."""

    p: int
    f: int
    work: int


def relaxed_window(whole: Piece, p: int, f: int) -> Window:
    """Return the window (p, f) of a whole problem, 0 ≤ p ≤ f ≤ T, relaxed as the module docstring says.

    Parameters
    ----------
    whole
        As `whole_problem` returns it.
    p, f
        From the end of tile p − 1 to the begin of tile f.
    """
    tiles, first = whole.tile_count, max(p - 1, 0)
    last = min(f + 1, tiles)  # the tiles first … last − 1
    loads = (whole.position >= p) & (whole.position <= f)
    stores = (whole.position >= p - 1) & (whole.position < f) & ((whole.least_end <= f) | (f == tiles))
    free = np.flatnonzero(np.where(whole.is_store, stores, loads))
    is_store, cycles = whole.is_store[free], whole.cycles[free]
    tile_cycles = whole.tile_cycles[first:last].copy()
    lead = int(cycles[~is_store].sum()) if p > 0 else 0
    if p > 0:
        tile_cycles[0] = lead
    if f < tiles:
        tile_cycles[-1] = 0
    after_begin = np.searchsorted(free, whole.after_begin[free])
    after_end = np.searchsorted(free, whole.after_end[free])
    size = last - first
    piece = Piece(
        plan=whole.plan,
        tensors=free,
        first_tile=first,
        is_store=is_store,
        bytes=whole.bytes[free],
        cycles=cycles,
        position=whole.position[free] - first,
        latest_start=whole.latest_start[free] - first,
        least_end=np.minimum(whole.least_end[free] - first, size),
        end_behind=np.full(len(free), last),
        after_begin=after_begin,
        after_end=after_end,
        alike=alike_transfers(whole.plan, free, after_begin, after_end),
        tile_cycles=tile_cycles,
        room=whole.room[first:last],
        tile_ready=np.zeros(size, np.int64),
        tile_tail=np.cumsum(tile_cycles[::-1])[::-1] - tile_cycles,
        suffix_tail=without_suffix(size),
        channel_ready=0,
        channel_tail=0 if f == tiles else -int(cycles[is_store].sum()),
    )
    return Window(piece, lead)


def longest_path(whole: Piece, windows: Windows, arcs: list[Arc]) -> int:
    """Return the longest path through tiles and arcs, and the window bound before and behind them (cycles).

    Parameters
    ----------
    whole, windows
        The whole problem and its window bound.
    arcs
        In any order.
    """
    into: dict[int, list[Arc]] = defaultdict(list)
    for arc in arcs:
        into[arc.f].append(arc)
    tiles = whole.tile_count
    begins, openings = windows.earliest_begin.tolist(), windows.earliest_opening.tolist()
    tails, cycles = windows.tail_from_begin.tolist(), whole.tile_cycles.tolist()
    longest, end = windows.latency, 0
    for f in range(tiles + 1):
        openings[f] = max(openings[f], end)
        begin = max([begins[f], end, *(openings[arc.p] + arc.work for arc in into[f])])
        longest = max(longest, begin + tails[f])
        if f < tiles:
            end = begin + cycles[f]
    return longest


def period_of(whole: Piece) -> tuple[int, int, int]:
    """Return the period of a plan in tiles, and the stretch that repeats.

    Returns
    -------
    tuple[int, int, int]
        How many tiles one period has, and the first and last + 1 of those that equal the tile one period later; zeros
        if nothing repeats over at least half of the plan.
    """
    codes = _codes(whole)
    counts = Counter(codes.tolist())
    repeated = [code for code, count in counts.items() if count > 1]
    rarest = sorted(repeated, key=lambda code: (counts[code], code))[:MOST_LAGS]
    lags = {int(lag) for code in rarest for lag in np.diff(np.flatnonzero(codes == code))[:MOST_LAGS]}
    best = (0, 0, 0)
    for lag in sorted(lags):
        first, last = _longest_run(codes[:-lag] == codes[lag:])
        if last - first > best[2] - best[1] and 2 * (last - first) >= len(codes):
            best = (lag, first, last)
    return best


def _codes(whole: Piece) -> IntArray:
    """Return int64[T]: equal numbers for tiles with equal cycles, room and transfers."""
    columns = np.stack(
        [
            whole.is_store,
            whole.bytes,
            whole.cycles,
            whole.least_end - whole.position,
            whole.after_end - whole.after_begin,
        ],
        axis=1,
    ).tolist()
    transfers: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for position, column in zip(whole.position.tolist(), columns, strict=True):
        transfers[position].append(tuple(column))
    known: dict[object, int] = {}
    keys = (
        (cycles, room, tuple(transfers[p]))
        for p, (cycles, room) in enumerate(zip(whole.tile_cycles.tolist(), whole.room.tolist(), strict=True))
    )
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def _longest_run(same: np.ndarray) -> tuple[int, int]:
    """Return first and last + 1 of the longest run of true items."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    if len(edges) == 0:
        return 0, 0
    begins, ends = edges[::2], edges[1::2]
    at = int(np.argmax(ends - begins))
    return int(begins[at]), int(ends[at])


def cuts_of(whole: Piece, transfers: int) -> list[int]:
    """Return the first tiles of windows of about so many transfers, 0 among them; alike in all periods of the plan.

    Parameters
    ----------
    whole
        The whole problem.
    transfers
        How many a window may have; one tile, or one period, may have more.
    """
    at = np.bincount(np.clip(whole.position, 0, whole.tile_count - 1), minlength=whole.tile_count)
    period, first, last = period_of(whole)
    if period == 0:
        return _cuts(at, 0, whole.tile_count, transfers)
    of_a_period = int(at[first : first + period].sum())
    step = period * max(transfers // max(of_a_period, 1), 1)
    inner = (
        [0] if step > period or of_a_period <= transfers else _cuts(at[first : first + period], 0, period, transfers)
    )
    end = last + period
    cuts = _cuts(at, 0, first, transfers)
    cuts += [begin + offset for begin in range(first, end, step) for offset in inner if begin + offset < end]
    return sorted({*cuts, *_cuts(at, end, whole.tile_count, transfers)})


def _cuts(at: IntArray, first: int, last: int, transfers: int) -> list[int]:
    """Return the first tiles of groups of the tiles ``first … last − 1`` with about so many transfers each."""
    cuts, held = [], 0
    for p, count in enumerate(at[first:last].tolist(), start=first):
        if p == first or held + count > transfers:
            cuts.append(p)
            held = 0
        held += count
    return cuts


@dataclass
class WindowSearch:
    """Solves windows of a schedule's run until their bound meets its latency.

    Parameters
    ----------
    schedule
        The best schedule known.
    whole, windows
        The whole problem, and its window bound.
    parameters
        How CP-SAT is run: `window_transfers`, `window_deterministic_time`, `window_share`.
    budget
        Deadline and stop request.
    """

    schedule: Schedule
    whole: Piece
    windows: Windows
    parameters: CpSatParameters
    budget: Budget
    deterministic_time: float = 0.0
    solved: int = 0
    _arcs: dict[tuple[int, int], Arc] = field(default_factory=dict)
    _known: dict[bytes, int] = field(default_factory=dict)

    @property
    def lower_bound(self) -> int:
        """The bound on the latency (cycles) that the arcs so far prove."""
        return longest_path(self.whole, self.windows, list(self._arcs.values()))

    @property
    def over(self) -> bool:
        """Whether the search must end now."""
        most = self.parameters.deterministic_time * self.parameters.window_share
        return self.budget.over or self.deterministic_time >= most

    def first_look(self) -> int:
        """Return the best bound on the latency (cycles) from short windows, up to the first that the schedule loses in.

        A schedule that is not optimal loses somewhere; pieces are then the better use of time.
        """
        for length in self._lengths[:1]:
            for tight in self._solve_all(cuts_of(self.whole, length), FIRST_LOOK_TIME):
                if not tight:
                    break
        return self.lower_bound

    def run(self, wanted: int) -> int:
        """Return the best bound on the latency (cycles); the search ends when it reaches `wanted`."""
        for length in self._lengths:
            if self.lower_bound >= wanted:
                break
            deque(self._solve_all(cuts_of(self.whole, length), self.parameters.window_deterministic_time), maxlen=0)
        return self.lower_bound

    @property
    def _lengths(self) -> list[int]:
        """Transfers in a window, where that is less than all of the plan."""
        every = self.schedule.plan.dram_tensor_count
        return [length for length in self.parameters.window_transfers if length < every]

    def _solve_all(self, cuts: list[int], limit: float) -> Iterator[bool]:
        """Solve the windows between these tiles, those in which the schedule loses most first, until time is over.

        Yields after each whether the schedule loses nothing in it.
        """
        tiles = self.whole.tile_count
        spans = [(p, end - 1 if end < tiles else tiles) for p, end in zip(cuts, [*cuts[1:], tiles], strict=True)]
        slack: Counter[bytes] = Counter()
        longest: dict[bytes, int] = {}
        alike: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        for p, f in spans:
            if self.budget.over:
                return
            window = relaxed_window(self.whole, p, f)
            key = _key(window)
            if key not in self._known:
                self._known[key] = dram_windows(window.piece).latency - window.lead
            own = self._own(p, f)
            slack[key] += own - self._known[key]
            longest[key] = max(longest.get(key, 0), own)
            alike[key].append((p, f))
            self._keep(p, f, self._known[key])
        for key, lost in slack.most_common():
            if lost > 0 and not self.over:
                window = relaxed_window(self.whole, *alike[key][0])
                self._known[key] = max(self._known[key], self._solve(window, longest[key], limit))
                for p, f in alike[key]:
                    self._keep(p, f, self._known[key])
                yield self._known[key] >= longest[key]

    def _own(self, p: int, f: int) -> int:
        """The cycles that the schedule takes from the end of tile p − 1 to the begin of tile f."""
        begin, cycles = self.schedule.evaluation.tile_begin, self.whole.tile_cycles
        end = self.schedule.latency if f == self.whole.tile_count else int(begin[f])
        return end - (int(begin[p - 1] + cycles[p - 1]) if p > 0 else 0)

    def _keep(self, p: int, f: int, work: int) -> None:
        self._arcs[p, f] = Arc(p, f, work)

    def _solve(self, window: Window, own: int, limit: float) -> int:
        """Return the bound of a window that the schedule does in `own` cycles, found within a deterministic time."""
        piece, windows = window.piece, dram_windows(window.piece)
        most_cycles = own + window.lead - 1
        solved = solve_piece(piece, windows, most_cycles, self.parameters, limit, self.budget)
        if solved is None:
            return windows.latency - window.lead
        run = solved[1]
        self.solved += 1
        if run.ended:
            self.deterministic_time += run.solver.response_proto.deterministic_time
        return max(min(run.lower_bound, own + window.lead), windows.latency) - window.lead


def _key(window: Window) -> bytes:
    """Return the same bytes for windows that are the same problem."""
    piece = window.piece
    arrays = (
        *(piece.is_store, piece.bytes, piece.cycles, piece.position, piece.latest_start, piece.least_end),
        *(piece.after_begin, piece.after_end, piece.tile_cycles, piece.room),
        np.array([window.lead, piece.channel_tail, len(piece.tensors), *map(len, piece.alike)]),
        np.array([n for group in piece.alike for n in group], np.int64),
    )
    return b"|".join(np.ascontiguousarray(array).tobytes() for array in arrays)
