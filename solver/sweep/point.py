"""A point of a sweep: all that decides a result but the method, and the key by which results are found again.

The key is a hash of content: of the network layer by layer, of every field of the platform, of batch, objective, seed
and limits. So it does not matter how a file writes a point, or where it stands. Names that people gave their own
networks and platforms are content, too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.platform_file import platform_document
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_document
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem

MODEL_VERSION = 1
"""Version of what schedules cost; a change that gives any schedule other figures raises it."""
SEARCH_VERSION = 1
"""Version of what methods find; a change that gives any point another schedule raises it."""


@dataclass(frozen=True)
class Point:
    """What is solved, and how.

    Parameters
    ----------
    problem
        Network, platform and batch.
    net
        Name of the network; of several blocks in a row, that of one block.
    objective
        What is minimised.
    seed
        Seed of all draws.
    effort
        Rounds of every search, as a share of those by default.
    seconds
        Limit in wall-clock time; None without one. With one, a result depends on the machine.
    tiling, uncapped
        Rule of tiling numbers, and whether layers may have more than 16 tiles for each sample. Only some methods use
        them, see `methods.point_for`.
    seq, blocks_in_a_row
        Tokens, if the network is built in and has them; blocks that are scheduled as one network. Both show in the
        layers as well, so the key does without them.
    """

    problem: Problem
    net: str
    objective: Objective = Objective()
    seed: int = 0
    effort: float = 1.0
    seconds: float | None = None
    tiling: TilingRule = TilingRule.OUTPUT
    uncapped: bool = False
    seq: int | None = None
    blocks_in_a_row: int = 1

    @cached_property
    def hw(self) -> str:
        """Name of the platform, see `hardware_name`."""
        return hardware_name(self.problem.platform)

    @cached_property
    def hardware(self) -> dict[str, Any]:
        """Every field of the platform that has not its default value, and the name of the platform."""
        return {**platform_document(self.problem.platform), "name": self.hw}

    @cached_property
    def hardware_key(self) -> str:
        """A hash of `hardware`."""
        return _hash(self.hardware)[:8]

    @cached_property
    def document(self) -> dict[str, Any]:
        """What decides the results of the point, for the key and for the store."""
        return {
            "network": {"name": self.net, "sha256": _network_hash(self.problem.network)},
            "hardware": self.hardware,
            "batch": self.problem.batch,
            "objective": {
                "energy_exponent": float(self.objective.energy_exponent),
                "delay_exponent": float(self.objective.delay_exponent),
            },
            "seed": self.seed,
            "limits": {"effort": float(self.effort), "seconds": None if self.seconds is None else float(self.seconds)},
            **({} if self.tiling is TilingRule.OUTPUT else {"tiling": self.tiling.value}),
            **({"uncapped": True} if self.uncapped else {}),
        }

    def key(self, method: str, versions: Mapping[str, Any], neighbours: Sequence[str] = ()) -> str:
        """Return the key of a result: 16 hexadecimal digits.

        Parameters
        ----------
        method
            Name of the method.
        versions
            What else the result depends on, by name.
        neighbours
            Keys of other results that decide this one.
        """
        decides = {**self.document, "method": method, "versions": dict(versions), "neighbours": sorted(neighbours)}
        return _hash(decides)[:16]


def hardware_name(platform: Platform) -> str:
    """Return the platform's own name, or that of the built-in one from which it differs in buffer and bandwidth alone.

    It does not depend on how the platform was written. The empty text if it has no name and is like no other.
    """
    alike = {
        name: replace(known, gbuf_bytes=platform.gbuf_bytes, dram_bytes_per_cycle=platform.dram_bytes_per_cycle)
        for name, known in PLATFORMS.items()
    }
    found = next((name for name, one in alike.items() if one == platform), "")
    own = "" if platform.name in PLATFORMS else platform.name
    return own or found


@lru_cache(maxsize=256)
def _network_hash(network: Network) -> str:
    return _hash(network_document(network))


def _hash(document: object) -> str:
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def canonical(document: object) -> str:
    """Return a document as JSON in one form: names in order, no blanks."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
