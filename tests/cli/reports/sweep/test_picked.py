"""Which rows and columns a figure takes, from what was typed."""

import pytest
from support.sweep_rows import made_row

from soma_cp.cli.reports.sweep.picked import ALIASES, COST_COLUMN, column_named, rows_only
from soma_cp.cli.reports.sweep.words import NUMERIC
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.rows import COLUMNS, Row

NAMES = [column.name for column in COLUMNS]


# Columns


@pytest.mark.parametrize("name", [*NAMES, COST_COLUMN])
def test_every_column_has_its_own_name(name: str) -> None:
    assert column_named(name, "--x") == name


def test_short_names() -> None:
    typed = {"buffer": "buffer_bytes", "dram": "dram_bytes_per_s", "latency": "latency_ns", "energy": "energy_pj"}
    for short, name in typed.items():
        assert column_named(short, "--x") == column_named(short, "--value", numbers=True) == name
    assert {*ALIASES.values()} <= {*NAMES}


def test_a_value_is_a_number() -> None:
    for column in COLUMNS:
        if column.kind in (int, float):
            assert column_named(column.name, "--value", numbers=True) == column.name
            continue
        with pytest.raises(UserError, match=f"--value {column.name} .must be a column of numbers: "):
            column_named(column.name, "--value", numbers=True)
    assert column_named(COST_COLUMN, "--value", numbers=True) == COST_COLUMN
    assert "uncapped" not in NUMERIC


def test_an_unknown_column_is_refused_with_all_and_the_nearest() -> None:
    with pytest.raises(UserError) as refused:
        column_named("bufer", "--y")
    said = str(refused.value)
    assert said.startswith("--y bufer (must be a column: key, net, ")
    assert said.endswith("did you mean 'buffer'?")
    assert f", {COST_COLUMN})" in said
    assert all(f" {name}," in said for name in NAMES[1:])
    with pytest.raises(UserError) as refused:
        column_named("utilisation", "--value", numbers=True)
    assert ", net, " not in str(refused.value)
    assert str(refused.value).endswith("did you mean 'utilization'?")


# Conditions

POINT = ("resnet50", "edge", 4)
ROW = made_row(*POINT, "cocco", latency_cycles=2_500_000, energy_pj=3e9, buffer_bytes=8 * MIB, dram_bytes_per_s=16e9)
BARE = made_row("gpt2-small-prefill", "cloud", 16, "ours", message="died", status="failed")


def meets(condition: str, row: Row = ROW) -> bool:
    try:
        return rows_only([row], [condition]) == [row]
    except UserError:
        return False


@pytest.mark.parametrize(
    "condition",
    [
        "net=resnet50",
        "net=ResNet-50",  # as figures say it
        "method=cocco",
        "method=Cocco",
        "hw=edge",
        "status=done",
        "types=",
        "batch=4",
        "batch=4.0",
        "batch= 4 ",
        "buffer=8388608",  # as rows hold it
        "buffer=8",  # in the unit of its label
        "buffer=8MiB",
        "buffer=8 MiB",
        "buffer_bytes=8 MiB",
        "buffer=8192 KiB",
        "dram=16",
        "dram=16 GB/s",
        "dram=16000000000",
        "dram=1.6e10",
        "latency=2.5 ms",
        "latency_cycles=2500000",
        "energy=3",
        "utilization=50 %",
        "utilization=0.5",
        "energy_exponent=1",
        "tiling=output",
        "uncapped=no",
        "uncapped=False",
        "uncapped=false",
        "uncapped=0",
    ],
)
def test_a_value_is_met_as_rows_hold_it_as_figures_say_it_and_with_its_unit(condition: str) -> None:
    assert meets(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "net=resnet",
        "net=resnet101",
        "net=RESNET50",
        "method=cocco-exact",
        "types=fp16",
        "batch=40",
        "batch=",
        "batch=4,16",
        "buffer=4MiB",
        "buffer=8KiB",  # another unit
        "buffer=8 GB/s",
        "buffer=MiB8",
        "dram=16 MB/s",
        "latency=2.5 ns",
        "batch=4 MiB",
        "buffer=8388",
        "dram=1.6",
        "latency=2.4 ms",
        "seq=4",
        "tiling=largest",
        "uncapped=yes",
        "uncapped=true",
        "message=died",
    ],
)
def test_no_other_value_is(condition: str) -> None:
    assert not meets(condition)


def test_what_a_row_lacks() -> None:
    """A row without a schedule, of a method without a rule of tiling numbers."""
    assert meets("latency=None", BARE)
    assert meets("latency=–", BARE)
    assert meets("tiling=None", BARE)
    assert not meets("latency=0", BARE)
    assert not meets("tiling=output", BARE)
    assert meets("message=died", BARE)
    assert meets("message=died", {**BARE, "message": "died"})


def test_a_condition_may_hold_an_equals_sign() -> None:
    row = {**BARE, "message": "a=b"}
    assert meets("message=a=b", row)
    assert not meets("message=a", row)


def test_conditions_of_one_column_are_alternatives_of_several_all_hold() -> None:
    rows = [made_row("resnet50", hw, batch, "ours") for hw in ("edge", "cloud") for batch in (1, 4, 16)]
    assert rows_only(rows, []) == rows
    assert rows_only(rows, ["batch=1", "batch=16"]) == [rows[0], rows[2], rows[3], rows[5]]
    assert rows_only(rows, ["batch=1", "hw=cloud", "batch=16"]) == [rows[3], rows[5]]
    assert rows_only(rows, ["buffer=8MiB", "buffer_bytes=32MiB", "batch=4"]) == [rows[1], rows[4]]


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (["batch"], r"--only batch \(must be NAME=VALUE, such as batch=4 or buffer=8MiB\)"),
        (["bach=4"], r"--only bach \(must be a column: .*did you mean 'batch'\?"),
        (["batch=5", "hw=edge"], r"^no result has batch=5 and hw=edge$"),
        (["batch=4", "hw=cloud"], r"^no result has batch=4 and hw=cloud$"),
    ],
)
def test_what_is_no_condition_or_met_by_nothing_is_refused(conditions: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        rows_only([ROW], conditions)


def test_nothing_to_draw() -> None:
    with pytest.raises(UserError, match=r"^no result has anything to draw$"):
        rows_only([], [])
