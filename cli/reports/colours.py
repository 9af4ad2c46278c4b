"""Colours of pages and pictures: Okabe and Ito's, which colour-blind readers can tell apart, and greys."""

from soma_cp.model.soma.execution.events import IFMAPS, OFMAPS_ON_CHIP, OFMAPS_TO_STORE, WEIGHTS
from soma_cp.model.soma.tensors import IFM, OFM, WGT

KINDS = {WEIGHTS: "#0072B2", IFMAPS: "#E69F00", OFMAPS_TO_STORE: "#009E73", OFMAPS_ON_CHIP: "#CC79A7"}
OCCUPANCY_OF_KIND = {WGT: WEIGHTS, IFM: IFMAPS, OFM: OFMAPS_TO_STORE}
"""Kind of occupancy, by kind of DRAM tensor."""

# For pages only.
CAPACITY = "#D55E00"
IDLE = "#d9dde1"
TILES = ("#8b929a", "#b4bac0")  # FLGs alternate
GROUPS = ("#eef1f4", "#dce2e8")
INK = "#22272e"
