"""Numbers of callers: numpy's are Python's, others are refused in a sentence that names the argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import soma_cp as sc
from soma_cp.api.values import real, whole

KINDS = (int, np.int8, np.int64, np.uint16)


@given(st.integers(0, 127), st.sampled_from(KINDS), st.integers(-5, 130), st.integers(-5, 130))
def test_a_whole_number_is_one_of_python_within_its_range(number: int, kind: Any, least: int, most: int) -> None:
    if least <= number <= most:
        assert type(whole("x", kind(number), least, most)) is int
        assert whole("x", kind(number), least, most) == number
    else:
        with pytest.raises(sc.UserError, match=rf"^x={number} \(must be from {least} to {most}\)$"):
            whole("x", kind(number), least, most)


@pytest.mark.parametrize("value", [True, 2.0, 2.5, "2", None, np.float64(2), [2], np.array([1, 2])])
def test_what_is_no_whole_number(value: object) -> None:
    with pytest.raises(sc.UserError, match=r"^x=.*must be a whole number"):
        whole("x", value)


@pytest.mark.parametrize("value", [True, "2", None, float("nan"), [2]])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(sc.UserError, match=r"^x=.*must be a number"):
        real("x", value)


def test_numbers_of_numpy_reach_files(tmp_path: Path) -> None:
    """A sweep over np.arange loses no schedule when it is saved."""
    builder = sc.NetworkBuilder("mine", blocks=np.int64(1))  # type: ignore[arg-type]
    image = builder.input("image", np.array([3, 16, 16]))  # type: ignore[arg-type]
    builder.conv("a", image, channels=np.int32(8), kernel=np.int64(3))  # type: ignore[arg-type]
    builder.pool("b", "a", kernel=(np.int64(2), 2))  # type: ignore[arg-type]
    network = builder.build()
    hardware = sc.load_hardware("edge", buffer=np.int64(1 << 20), dram_pj_per_byte=np.float32(80))  # type: ignore[arg-type]
    lfa = sc.make_lfa(["a", "b"], tiling_numbers={"a": np.int64(2)})  # type: ignore[dict-item]
    mine = sc.make_schedule(network, hardware, lfa=lfa, batch=np.int64(2))  # type: ignore[arg-type]
    moved = [one._replace(tile=np.int64(one.tile), start=np.int64(one.start or 0)) for one in mine.transfers]
    again = sc.make_schedule(network, hardware, lfa=lfa, batch=2, transfers=moved)
    assert again == mine
    solved = sc.solve(network, hardware, batch=np.int16(2), seed=np.int64(1), workers=np.int8(1), stage2="greedy")  # type: ignore[arg-type]
    for number, schedule in enumerate((mine, again, solved)):
        schedule.save(tmp_path / f"{number}.json")
        assert sc.read_schedule(tmp_path / f"{number}.json", network).batch == 2


BUILDS: list[tuple[Callable[[sc.NetworkBuilder], object], str]] = [
    (lambda of: of.conv("c", "image", channels="8"), "layer 'c': K='8'"),  # type: ignore[arg-type]
    (lambda of: of.conv("c", "image", channels=8.5), r"layer 'c': K=8\.5"),  # type: ignore[arg-type]
    (lambda of: of.conv("c", "image", channels=8, padding=(1, 2, 3)), r"layer 'c': padding=\(1, 2, 3\)"),  # type: ignore[arg-type]
    (lambda of: of.pool("c", "image", kernel=2.0), r"layer 'c': kernel=2\.0"),  # type: ignore[arg-type]
    (lambda of: of.upsample("c", "image", factor=None), "layer 'c': factor=None"),  # type: ignore[arg-type]
    (lambda of: of.transpose("c", "image", order=3), "layer 'c': order=3"),  # type: ignore[arg-type]
    (lambda of: of.transpose("c", "image", order="C**", shape=(3, 64)), r"layer 'c': shape=\(3, 64\)"),
    (lambda of: of.input("c", "abc"), "input 'c': shape='abc'"),  # type: ignore[arg-type]
    (lambda of: of.layer("conv", "c", "image", C=3, K=8, H=8, W="8"), "layer 'c': W='8'"),
]


@pytest.mark.parametrize(("build", "message"), BUILDS, ids=[message for _, message in BUILDS])
def test_an_error_of_the_builder_names_the_layer(build: Callable[[sc.NetworkBuilder], object], message: str) -> None:
    builder = sc.NetworkBuilder("mine")
    builder.input("image", (3, 8, 8))
    with pytest.raises(sc.NetworkError, match=message):
        build(builder)
    assert builder.conv("c", "image", channels=8) == "c"  # nothing of it is left


CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: sc.solve("tiny-chain", batch=2.5), r"batch=2\.5 \(must be a whole number"),  # type: ignore[arg-type]
    (lambda: sc.solve("tiny-chain", seed=None), "seed=None"),  # type: ignore[arg-type]
    (lambda: sc.solve("tiny-chain", time_limit="5"), "time_limit='5'"),  # type: ignore[arg-type]
    (lambda: sc.solve("tiny-chain", delay_exponent="1"), "delay_exponent='1'"),  # type: ignore[arg-type]
    (lambda: sc.solve("tiny-chain", cancel=True), "cancel is of the type bool"),  # type: ignore[arg-type]
    (lambda: sc.solve("tiny-chain", on_progress=3), "on_progress is of the type int"),  # type: ignore[arg-type]
    (lambda: sc.solve("tiny-chain", {"gbuf": 1}), "hardware is of the type dict"),  # type: ignore[arg-type]
    (lambda: sc.evaluate(3), "schedule is of the type int"),  # type: ignore[arg-type]
    (lambda: sc.make_schedule("tiny-chain", lfa=None), "lfa is of the type NoneType"),  # type: ignore[arg-type]
    (lambda: sc.make_lfa("abc"), "computing_order='abc'"),
    (lambda: sc.make_lfa(["a"], tiling_numbers=0), "tiling_numbers=0"),
    (lambda: sc.load_hardware("edge", memory_bytes={"AL1": "fast"}), "memory_bytes AL1='fast'"),
    (lambda: sc.load_hardware("edge", core_array="roofline", memory_bytes={"Z": 1}), "memory_bytes names 'Z'"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_a_wrong_type_is_a_mistake_of_the_caller(call: Callable[[], object], message: str) -> None:
    with pytest.raises(sc.UserError, match=message):
        call()


@pytest.mark.parametrize("given", ["wgt", ("wgt",), ("wgt", "conv1", 0, "", 0, 1, 2)])
def test_what_is_no_transfer(given: Any) -> None:
    lfa = sc.make_lfa([layer.name for layer in sc.load_network("tiny-chain").layers])
    with pytest.raises(sc.UserError, match=r"transfer 0 is .*must be a Transfer: kind, layer"):
        sc.make_schedule("tiny-chain", lfa=lfa, transfers=[given])


def test_units_within_an_object_of_quantities() -> None:
    said = sc.load_hardware("edge", memory_bytes={"AL1": "1KiB"}, energy_pj={"MAC": "18 fJ"})
    assert dict(said.memory_bytes) == {"AL1": 1024}
    assert dict(said.energy_pj) == {"MAC": 0.018}


def test_a_result_stands_for_its_schedule(branch: sc.Result, tmp_path: Path) -> None:
    assert sc.evaluate(branch).schedule == branch.schedule
    assert [one.schedule.lfa for one in sc.compare(branch, time_limit=5)][-1] == branch.schedule.lfa
    network, hardware = branch.schedule.network, branch.schedule.hardware
    assert sc.solve(network, hardware, start=branch, fix_lfa=True, stage2="greedy").cost == branch.cost
    assert len(branch.report(tmp_path / "two.csv", branch)) == 2


def test_a_claim_of_an_optimum_says_its_space() -> None:
    assert "in the paper's space" in repr(sc.solve("tiny-chain", "edge", stage2="greedy", space="paper"))
    wide = sc.solve("tiny-chain", "edge", stage2="greedy")
    assert "in the wide space" in repr(wide)
    assert "in the wide space" in wide._repr_html_()
