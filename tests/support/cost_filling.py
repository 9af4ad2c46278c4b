"""Puts costs into a store; a separate module, since spawned processes import it by name."""

from pathlib import Path

from soma_cp.model.hardware.core_array.cost_store import CostStore, StoredCost


def fill(path: Path, name: int) -> None:
    store = CostStore(path)
    for n in range(20):
        store.put([(f"{name}.{n}", StoredCost(n, float(name)))])
