"""Colours of pictures and, in other shades, of pages: Okabe and Ito's, which colour-blind readers can tell apart."""

from soma_cp.model.soma.execution.events import IFMAPS, OFMAPS_ON_CHIP, OFMAPS_TO_STORE, WEIGHTS
from soma_cp.model.soma.tensors import IFM, OFM, WGT

KINDS = {WEIGHTS: "#0072B2", IFMAPS: "#E69F00", OFMAPS_TO_STORE: "#009E73", OFMAPS_ON_CHIP: "#CC79A7"}
OCCUPANCY_OF_KIND = {WGT: WEIGHTS, IFM: IFMAPS, OFM: OFMAPS_TO_STORE}
"""Kind of occupancy, by kind of DRAM tensor."""
