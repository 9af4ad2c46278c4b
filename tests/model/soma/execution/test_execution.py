"""The events of an execution keep the rules of docs/model.md#latency; a cause is the rule that binds."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from support.execution_cases import execution_of, executions
from support.twins import examples

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.execution.events import (
    CHANNEL,
    IFMAPS,
    LOAD_START,
    NONE,
    NOTHING,
    OFMAPS_ON_CHIP,
    OFMAPS_TO_STORE,
    STORE_TILE,
    TILE,
    WEIGHTS,
)
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import layer_table, longest_stalls, stalls_by_kind
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.tensors import IFM, OFM, WGT


@examples(60)
@given(executions())
def test_tiles_begin_as_the_rules_say_and_the_cause_is_what_binds(execution: Execution) -> None:
    tiles, transfers = execution.tiles, execution.transfers
    previous_end = 0
    for p in range(execution.schedule.plan.tile_count):
        awaited = {
            int(transfers.finish[i]): i
            for i in range(len(transfers.tensor))
            if (
                transfers.end[i] <= p
                if transfers.kind[i] == OFM
                else any(p in use.tiles for use in execution.transfer_uses(i))
            )
        }
        begin = max([previous_end, *awaited])
        assert tiles.begin[p] == begin
        assert tiles.stall[p] == begin - previous_end
        assert tiles.cause[p] == (awaited[begin] if begin > previous_end else NONE)
        previous_end = begin + execution.schedule.plan.tile_cycles[p]
        assert tiles.end[p] == previous_end
    caused = np.zeros(len(transfers.tensor), np.int64)
    for p in np.flatnonzero(tiles.stall):
        caused[tiles.cause[p]] += tiles.stall[p]
        assert transfers.gates[tiles.cause[p]] == p
    assert transfers.stall.tolist() == caused.tolist()


@examples(60)
@given(executions())
def test_transfers_begin_as_the_rules_say(execution: Execution) -> None:
    tiles, transfers, tensors = execution.tiles, execution.transfers, execution.schedule.plan.tensors
    assert transfers.tensor.tolist() == execution.schedule.dlsa.order.tolist()
    free = 0
    for place, i in enumerate(transfers.tensor):
        after = tensors.position[i] if tensors.is_store[i] else max(execution.schedule.dlsa.start[i] - 1, NONE)
        ready = tiles.end[after] if after >= 0 else 0
        assert transfers.after_tile[place] == after
        assert transfers.begin[place] == max(free, ready)
        waited_for = TILE if ready > free else CHANNEL if free > 0 else NOTHING
        assert transfers.waited_for[place] == waited_for
        assert transfers.gap[place] == max(ready - free, 0)
        free = transfers.finish[place]
        assert free - transfers.begin[place] == tensors.cycles[i]
    assert execution.latency == max(free, tiles.end[-1])


@examples(60)
@given(executions())
def test_busy_cycles_and_gaps_make_up_the_latency(execution: Execution) -> None:
    gaps, transfers = execution.gaps, execution.transfers
    assert execution.dram_busy + int((gaps.end - gaps.begin).sum()) == execution.latency
    assert execution.compute_busy + execution.stall_cycles + execution.drain_cycles == execution.latency
    busy = zip(transfers.begin, transfers.finish, strict=True)
    covered = sorted([*busy, *zip(gaps.begin, gaps.end, strict=True)])
    assert covered[0][0] == 0
    assert covered[-1][1] == execution.latency
    assert all(one[1] == two[0] for one, two in pairwise(covered))
    for place, tile, cause, end in zip(gaps.rank, gaps.tile, gaps.cause, gaps.end, strict=True):
        assert transfers.begin[place] == end == execution.tiles.end[tile]
        assert cause == (STORE_TILE if transfers.kind[place] == OFM else LOAD_START)


@examples(60)
@given(executions())
def test_occupancy_by_kind_adds_up_to_the_usage(execution: Execution) -> None:
    assert execution.occupancy.sum(axis=0).tolist() == execution.schedule.evaluation.usage_bytes.tolist()
    transfers = execution.transfers
    for p in range(execution.schedule.plan.tile_count):
        alive = (transfers.start <= p) & (p < transfers.end)
        for kind, row in ((WGT, WEIGHTS), (IFM, IFMAPS), (OFM, OFMAPS_TO_STORE)):
            assert execution.occupancy[row, p] == transfers.bytes[alive & (transfers.kind == kind)].sum()
        chip = execution.on_chip
        alive = (chip.start <= p) & (p < chip.end)
        assert execution.occupancy[OFMAPS_ON_CHIP, p] == chip.bytes[alive].sum()


@examples(60)
@given(executions())
def test_a_tensor_holds_buffer_while_it_is_transferred_and_used(execution: Execution) -> None:
    handover, transfers, tiles = execution.handover, execution.transfers, execution.tiles
    assert (handover[0], handover[-1]) == (0, execution.latency)
    assert (handover[:-1] <= tiles.begin).all()
    assert (tiles.end <= handover[1:]).all()
    assert (transfers.hold_begin <= transfers.begin).all()
    assert (transfers.finish <= transfers.hold_end).all()
    # At any cycle, the buffer holds the tensors that are alive at one position.
    for held in (transfers, execution.on_chip):
        assert held.hold_begin.tolist() == handover[np.maximum(held.start, 0)].tolist()
        assert held.hold_end.tolist() == handover[held.end].tolist()


@examples(60)
@given(executions())
def test_uses_are_within_living_durations_or_read_back(execution: Execution) -> None:
    plan, transfers = execution.schedule.plan, execution.transfers
    loads = {  # a shared load has several readers
        (reader, source)
        for place, source in enumerate(transfers.source.tolist())
        for reader in execution.transfer_readers(place)
    }
    for place in range(len(transfers.tensor)):
        local = transfers.after_tile[place] if transfers.kind[place] == OFM else transfers.gates[place]
        for use in execution.transfer_uses(place):
            assert set(plan.tile_layer[list(use.tiles)]) == {use.layer}
            if use.through_dram:
                assert (use.layer, transfers.layer[place]) in loads
            else:
                assert transfers.start[place] <= use.tiles[0] <= use.tiles[-1] < transfers.end[place]
                local = max(local, use.tiles[-1])
        assert plan.tensors.least_end[transfers.tensor[place]] == local + 1
    chip = execution.on_chip
    for index in range(len(chip.layer)):
        uses = execution.on_chip_uses(index)
        assert not any(use.through_dram for use in uses)
        assert chip.end[index] == max(use.tiles[-1] for use in uses) + 1


@examples(60)
@given(executions())
def test_groups_and_tables(execution: Execution) -> None:
    plan, tiles, table = execution.schedule.plan, execution.tiles, layer_table(execution)
    names = [plan.problem.network.layers[i].name for i in table.layer]
    assert tuple(names) == plan.lfa.computing_order
    for groups, of_tile in ((execution.flgs, tiles.flg), (execution.lgs, tiles.lg)):
        for g in range(len(groups.first)):
            positions = np.flatnonzero(of_tile == g)
            assert (groups.first[g], groups.last[g]) == (positions[0], positions[-1])
            assert (groups.begin[g], groups.end[g]) == (tiles.begin[positions[0]], tiles.end[positions[-1]])
            assert set(tiles.lg[positions]) == {groups.lg[g]}
    assert execution.flgs.tiling_number.tolist() == [flg.tiling_number for flg in plan.lfa.flgs]
    for row, layer in enumerate(table.layer):
        own = np.flatnonzero(tiles.layer == layer)
        moved = execution.transfers.layer == layer
        assert table.tiles[row] == len(own)
        assert (table.begin[row], table.end[row]) == (tiles.begin[own[0]], tiles.end[own[-1]])
        assert table.compute_cycles[row] == plan.tile_cycles[own].sum()
        assert table.stall_cycles[row] == tiles.stall[own].sum()
        bytes_moved = table.weight_bytes[row] + table.ifmap_bytes[row] + table.ofmap_bytes[row]
        assert bytes_moved == execution.transfers.moved[moved].sum()
    figures = execution.schedule.evaluation.figures
    assert table.dram_cycles.sum() == figures.dram_cycles
    assert table.core_energy_pj.sum() == pytest.approx(figures.core_energy_pj)
    assert table.dram_energy_pj.sum() == pytest.approx(figures.dram_energy_pj)
    assert table.caused_stall_cycles.sum() == execution.stall_cycles
    assert sum(cause.cycles for cause in stalls_by_kind(execution)) == execution.stall_cycles
    assert sum(cause.stalls for cause in stalls_by_kind(execution)) == np.count_nonzero(tiles.stall)
    longest = longest_stalls(execution, 3)
    assert sorted(tiles.stall[longest], reverse=True) == sorted(tiles.stall[tiles.stall > 0], reverse=True)[:3]


def test_a_chain_by_hand() -> None:
    """The first tile waits for its loads; the channel is idle until a tile has made what it stores."""
    problem = Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])
    plan = make_plan(problem, unfused_lfa(problem.network))
    execution = execution_of(plan, double_buffering(plan.tensors))
    transfers, tiles = execution.transfers, execution.tiles
    assert tiles.stall[0] == tiles.begin[0] == transfers.finish[tiles.cause[0]]
    assert transfers.waited_for[0] == NOTHING
    assert transfers.kind[0] == WGT
    first_store = int(np.argmax(transfers.kind == OFM))
    assert transfers.after_tile[first_store] == 0
