"""Genomes: made valid, crossed, mutated, drawn and written as LFAs."""

from itertools import groupby

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from support.annealing_cases import EDGE, SEEDS, assert_drawn_from, builtin_problem
from support.brute_cocco import may_be_a_group
from support.twins import examples

from soma_cp.annealing.cocco import genomes
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.paper_search import layers_kept_apart
from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import check_lfa
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays

PROBLEMS = [builtin_problem(name) for name in ("tiny-attention", "tiny-wide", "tiny-pool-fc", "tiny-unet", "googlenet")]


def joins_of(problem: Problem) -> BoolArray:
    size = len(problem.network.layers)
    joins = np.zeros((size, size), np.bool_)
    genomes.fill_joins(problem.table, layers_kept_apart(problem), joins)
    return joins


JOINS = [joins_of(problem) for problem in PROBLEMS]


def assert_valid(problem: Problem, genome: IntArray) -> None:
    """Check a genome, and that it is written as the LFA that it stands for."""
    network = problem.network
    assert sorted(set(genome.tolist())) == list(range(genome.max() + 1))
    for layer in network.layers:
        for source in (*layer.ifmaps, *layer.weight_operands):
            assert genome[network.layer_id[source]] <= genome[network.layer_id[layer.name]]
    arrays = lfa_arrays(initial_lfa(problem), network, problem.table)
    genomes.write_genome(genome, arrays)
    lfa = lfa_from_arrays(arrays, network, problem.table)
    check_lfa(lfa, network)
    numbered = sorted((int(number), index) for index, number in enumerate(genome))
    groups = [tuple(network.layers[i].name for _, i in members) for _, members in groupby(numbered, lambda one: one[0])]
    assert [flg.layers for flg in lfa.flgs] == groups
    assert all(flg.dram_cut and may_be_a_group(network, flg.layers) for flg in lfa.flgs)


def drawn(which: int, random: np.random.Generator) -> IntArray:
    genome = np.zeros(len(JOINS[which]), np.int64)
    genomes.draw_genome(JOINS[which], PROBLEMS[which].table, genome, random)
    return genome


@given(which=st.integers(0, len(PROBLEMS) - 1), seed=SEEDS, most=st.integers(1, 12))
@examples(100)
def test_any_numbers_are_made_valid_by_cuts_alone(which: int, seed: int, most: int) -> None:
    problem = PROBLEMS[which]
    numbers = np.random.default_rng(seed).integers(0, most, len(JOINS[which]))
    genome = numbers.copy()
    count = genomes.make_valid(problem.table, JOINS[which], genome)
    assert_valid(problem, genome)
    assert count == genome.max() + 1
    for group in range(count):
        assert len(set(numbers[genome == group].tolist())) == 1
    again = genome.copy()
    assert genomes.make_valid(problem.table, JOINS[which], again) == count
    assert again.tolist() == genome.tolist()


@given(which=st.integers(0, len(PROBLEMS) - 1), seed=SEEDS)
@examples(100)
def test_drawn_crossed_and_mutated_genomes_are_or_become_valid(which: int, seed: int) -> None:
    problem, joins, random = PROBLEMS[which], JOINS[which], np.random.default_rng(seed)
    mother, father = drawn(which, random), drawn(which, random)
    assert_valid(problem, mother)
    child = np.zeros_like(mother)
    genomes.cross(mother, mother, child, random)
    same = (child[:, None] == child) == (mother[:, None] == mother)
    assert same.all()
    genomes.cross(mother, father, child, random)
    for _ in range(3):
        genomes.make_valid(problem.table, joins, child)
        assert_valid(problem, child)
        genomes.mutate(joins, child, random)


def test_a_child_has_a_whole_group_of_a_parent() -> None:
    """The first layer is decided first, with the group that one of the parents has it in."""
    random = np.random.default_rng(0)
    for _ in range(50):
        mother, father = drawn(4, random), drawn(4, random)
        child = np.zeros_like(mother)
        genomes.cross(mother, father, child, random)
        assert any(((child == child[0]) >= (parent == parent[0])).all() for parent in (mother, father))


def test_the_rest_of_a_group_stays_apart_or_joins_a_decided_one() -> None:
    """Three layers, 0 and 2 grouped by the mother, 0 and 1 by the father; each layer that is open takes either parent.

    If layer 0 takes the mother's group, 2 goes with it, and 1 is alone under the mother (1/2); under the father (1/2)
    its group is decided in part: 1 is alone or joins 0. So 1 joins at 1/2 · 1/2 · 1/2. So does 2 under the father.
    """
    mother, father, random = np.array([0, 1, 0]), np.array([0, 0, 1]), np.random.default_rng(0)

    def child() -> tuple[int, ...]:
        made = np.zeros(3, np.int64)
        genomes.cross(mother, father, made, random)
        return tuple(made.tolist())

    assert_drawn_from({(0, 1, 0): 3 / 8, (0, 0, 1): 3 / 8, (0, 0, 0): 2 / 8}, child, 2000)


def test_mutations_cut_merge_and_move() -> None:
    """Of a chain of four layers in two groups, all that one mutation can make is made, and nothing else."""
    problem = Problem(builtin_problem("tiny-chain").network, EDGE)
    joins, random = joins_of(problem), np.random.default_rng(0)
    made = set()
    for _ in range(2000):
        genome = np.array([0, 0, 1, 1])
        genomes.mutate(joins, genome, random)
        genomes.make_valid(problem.table, joins, genome)
        made.add(tuple(genome.tolist()))
    moved = {(0, 1, 1, 1), (0, 0, 0, 1)}
    cut = {(0, 0, 1, 2), (0, 1, 2, 2), (0, 1, 2, 3)}
    assert made == {(0, 0, 1, 1), (0, 0, 0, 0)} | moved | cut
