"""A schedule with names that would break a page that does not escape them."""

from dataclasses import replace

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import make_plan
from support.execution_cases import execution_of

NASTY = "</script><b>&\"'@name"


def nasty_execution(name: str = NASTY) -> Execution:
    """Return the events of double buffering of a network in which a layer has that name."""
    network = builtin_network("tiny-chain")
    old = network.layers[0].name

    def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if its == old else its for its in names)

    layers = tuple(
        replace(layer, name=renamed((layer.name,))[0], ifmaps=renamed(layer.ifmaps)) for layer in network.layers
    )
    problem = Problem(Network(f"<i>{NASTY}", network.inputs, layers), PLATFORMS["edge"], 1)
    plan = make_plan(problem, LFA(tuple(FLG((layer.name,), 1, True) for layer in layers)))
    return execution_of(plan, double_buffering(plan.tensors))
