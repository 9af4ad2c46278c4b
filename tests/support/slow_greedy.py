"""A plain twin of the greedy pass (docs/second-stage.md#one-greedy-pass).

It keeps the room of every position, extends every waiting store by itself, and looks at every tile.
"""

from dataclasses import dataclass, field

from soma_cp.annealing.second_stage.greedy_kernel import STORES_FIRST
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.tensors import WGT


@dataclass
class SlowPass:
    """One policy's run over a plan whose shortest living durations leave `room`, in bytes by position."""

    plan: Plan
    policy: int
    room: list[int]
    order: list[int] = field(default_factory=list)
    start: dict[int, int] = field(default_factory=dict)
    end: dict[int, int] = field(default_factory=dict)
    begun: int = 0
    tile_end: int = 0
    channel: int = 0
    in_flight: int = -1

    def __post_init__(self) -> None:
        tensors = self.plan.tensors
        self.position = tensors.position.tolist()
        self.bytes = tensors.bytes.tolist()
        self.tile_cycles = self.plan.sequence.cycles[: self.plan.tile_count].tolist()
        chosen = sorted(range(len(self.bytes)), key=lambda i: (self.position[i], tensors.kind[i] != WGT, i))
        waits_for_stores = tensors.after_end > tensors.after_begin
        self.stores = [i for i in chosen if tensors.is_store[i]]
        self.plain = [i for i in chosen if not tensors.is_store[i] and not waits_for_stores[i]]
        self.readers = [i for i in chosen if not tensors.is_store[i] and waits_for_stores[i]]
        for i in chosen:
            self.end[i] = int(tensors.least_end[i])
            if tensors.is_store[i]:
                self.start[i] = self.position[i]
        self.gate = [0] * self.plan.tile_count
        self.waiting = set(self.plain + self.readers)

    def latency(self) -> int:
        """Run; return the latency."""
        while True:
            forced = self.begin_tiles()
            if not (self.stores or self.plain or self.readers):
                if self.begun == len(self.tile_cycles):
                    return max(self.tile_end, self.channel)
                self.channel = max(self.channel, self.tile_end, self.gate[self.begun])
                continue
            self.use_channel(forced)

    def begin_tiles(self) -> bool:
        """Begin the tiles that can begin by now; return whether a store must go first."""
        while self.begun < len(self.tile_cycles):
            tile = self.begun
            begin = max(self.tile_end, self.gate[tile])
            if begin > self.channel or any(self.position[i] == tile for i in self.waiting):
                return False
            i = self.in_flight
            if i >= 0 and self.end[i] == tile and begin < self.channel:
                if self.room[tile] >= self.bytes[i]:
                    self.room[tile] -= self.bytes[i]
                    self.end[i] += 1
                else:
                    begin = self.channel
            if not self.outlive(tile):
                return True
            self.tile_end = begin + self.tile_cycles[tile]
            self.begun += 1
        return False

    def outlive(self, tile: int) -> bool:
        """Extend the stores that end at `tile`, the oldest first; return whether all have room."""
        for i in self.stores:
            if self.position[i] < tile and self.end[i] == tile:
                if self.room[tile] < self.bytes[i]:
                    return False
                self.room[tile] -= self.bytes[i]
                self.end[i] += 1
        return True

    def fits(self, load: int, present: int) -> bool:
        return all(self.room[p] >= self.bytes[load] for p in range(present, self.position[load]))

    def next_load(self) -> int:
        """Return the load that is needed first and may be done; −1 if there is none."""
        loads = self.plain[:1]
        if self.readers:
            last_store = self.plan.tensors.after_end[self.readers[0]] - 1
            if not self.stores or self.position[last_store] < self.position[self.stores[0]]:
                loads.append(self.readers[0])
        return min(loads, key=lambda i: self.position[i], default=-1)  # a plain one if both are needed at once

    def use_channel(self, forced: bool) -> None:
        running = self.tile_end > self.channel
        present = self.begun - 1 if running else self.begun
        has_store = bool(self.stores) and self.position[self.stores[0]] < (self.begun - 1 if running else self.begun)
        load = self.next_load()
        if not forced:
            fits = load >= 0 and self.fits(load, present)
            if fits and not running:
                forced = not self.outlive(self.begun)
                fits = not forced and self.fits(load, present)
            waits = load < 0 or self.position[load] > self.begun
            if not forced and not (has_store and (not fits or (self.policy == STORES_FIRST and waits))):
                if fits:
                    self.do_load(load, present)
                else:
                    self.channel, self.in_flight = self.tile_end, -1
                return
        self.in_flight = self.stores.pop(0)
        self.transfer(self.in_flight)

    def do_load(self, load: int, present: int) -> None:
        for p in range(present, self.position[load]):
            self.room[p] -= self.bytes[load]
        self.start[load] = present or -1
        (self.plain if load in self.plain else self.readers).remove(load)
        self.waiting.remove(load)
        self.in_flight = -1
        self.transfer(load)
        self.gate[self.position[load]] = self.channel

    def transfer(self, tensor: int) -> None:
        self.channel += int(self.plan.tensors.cycles[tensor])
        self.order.append(tensor)
