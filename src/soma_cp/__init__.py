"""soma-cp: when each tensor of a network moves between DRAM and an accelerator's buffer, searched and solved.

The package is layered: ``soma_cp.model`` says what things are and cost, ``soma_cp.annealing`` searches,
``soma_cp.solver`` proves and joins the stages, ``soma_cp.cli`` talks to the terminal. Imports go one way:
cli → solver → annealing → model.
"""

from soma_cp import former_addresses

__version__ = "0.1.0"

former_addresses.install()
