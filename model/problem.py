"""Problem: a network on a platform at a batch size; every schedule is a schedule of a problem."""

from dataclasses import dataclass, replace
from functools import cached_property

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.registry import make_core_array
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.network import Division, Network
from soma_cp.model.network.network_table import NetworkTable, network_table
from soma_cp.model.network.rewrites.channels import DivisionError, divided_as
from soma_cp.model.network.rewrites.passes import PassesError, in_passes

MAX_BATCH = 1 << 20
MAX_OPERATIONS = 1 << 53
"""Limit for one layer over the whole batch; it keeps every product in the kernels within 64 bits."""


@dataclass(frozen=True)
class Problem:
    """What is scheduled, and on what hardware.

    Parameters
    ----------
    network, platform
        Each is checked when it is made.
    batch
        Samples that run together, 1 … 2²⁰; of a network in passes, those of one pass.

    Raises
    ------
    UserError
        If `batch` is out of range.
    """

    network: Network
    platform: Platform
    batch: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= MAX_BATCH:
            raise UserError(f"batch={self.batch} (must be from 1 to {MAX_BATCH})")
        heaviest = max(self.network.layers, key=lambda layer: layer.operations)
        if heaviest.operations * self.batch > MAX_OPERATIONS:
            most = MAX_OPERATIONS // heaviest.operations
            raise UserError(
                f"batch={self.batch} makes {heaviest.operations * self.batch:,} operations of layer '{heaviest.name}' "
                f"(at most {MAX_OPERATIONS:,}); take a batch of at most {most}"
            )

    def __reduce__(self) -> tuple[type["Problem"], tuple[Network, Platform, int]]:
        # What is computed on first use is computed again: a core array may hold what can't be pickled.
        return Problem, (self.network, self.platform, self.batch)

    @property
    def samples(self) -> int:
        """Samples of the whole run: the batch of all passes together."""
        return self.batch * self.network.passes

    @property
    def one_pass(self) -> "Problem":
        """The problem of a single pass, over its part of the batch."""
        return self if self.network is self.network.one_pass else replace(self, network=self.network.one_pass)

    def divided_as(self, divisions: tuple[Division, ...]) -> "Problem":
        """Return the problem in one pass, with these layers divided by output channels, and no others.

        Raises
        ------
        DivisionError
            If the network can't be divided so, or a part is off the granule of the core array.
        """
        network = self.network.one_pass
        if divisions != network.divisions:
            network = divided_as(network.whole, divisions) if divisions else network.whole
        granule = self.core_array.granule if network.divisions else 1
        for name, channels in network.divisions:
            if sum(part % granule != 0 for part in channels) > 1:
                said = " + ".join(map(str, channels))
                raise DivisionError(
                    f"layer '{name}' can't be divided into {said} channels: all parts but one must be multiples of "
                    f"{granule}, which the core array '{self.core_array.name}' computes at once"
                )
        return self if network is self.network else replace(self, network=network, batch=self.samples)

    def arranged_as(self, divisions: tuple[Division, ...], passes: int) -> "Problem":
        """Return the problem with these layers divided, and its batch run in so many passes.

        Raises
        ------
        DivisionError, PassesError
            As `divided_as`, or if the passes can't be equal or names of copies are taken.
        """
        together = self.divided_as(divisions)
        if (divisions, passes) == (self.network.divisions, self.network.passes):
            return self
        if passes == 1:
            return together
        if passes < 1 or self.samples % passes:
            raise PassesError(
                f"passes={passes} for a batch of {self.samples} (must be a divisor of the batch: all passes are alike)"
            )
        return replace(together, network=in_passes(together.network, passes), batch=self.samples // passes)

    @property
    def whole(self) -> "Problem":
        """The problem in one pass, in which no layer is divided."""
        return self.divided_as(())

    @cached_property
    def table(self) -> NetworkTable:
        """The network as arrays."""
        return network_table(self.network, self.platform.semantics)

    @cached_property
    def core_array(self) -> CoreArray:
        """What a tile costs on this platform.

        Raises
        ------
        UserError
            If the core array or the option that the platform names does not exist.
        """
        platform = self.platform
        return make_core_array(platform, platform.core_array, dict(platform.core_array_options), self.network)
