"""The built-in platforms of public accelerators: their peaks are published ones, their files name sources, all run."""

import re
from typing import NamedTuple

import pytest
from support.paths import DOCS

from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.presets import PAPER_PRESETS, PRESETS, preset_text
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import LayerTooLargeError
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.validity import violations


class Published(NamedTuple):
    """What is published of an accelerator: MACs per cycle, clock, TOPS, buffer, DRAM; and the network that it runs."""

    macs_per_cycle: int
    mhz: int
    tops: float
    gbuf_bytes: int
    dram_gb_per_s: float
    runs: str


KIB, MIB = 1 << 10, 1 << 20
PUBLISHED = {
    "ethos-u55-128": Published(128, 500, 0.128, 512 * KIB, 0.5, "tiny-chain"),  # 0.5 TOPS is 256 MACs at 1 GHz
    "ethos-u55-256": Published(256, 500, 0.256, 512 * KIB, 0.5, "tiny-chain"),
    "ethos-u65": Published(512, 1000, 1.0, 384 * KIB, 3.75, "tiny-unet"),
    "ethos-u85": Published(2048, 1000, 4.0, 512 * KIB, 24, "tiny-chain"),
    "nvdla-small": Published(8 * 8, 1000, 0.128, 128 * KIB, 1, "tiny-branch"),
    "nvdla-full": Published(64 * 32, 1000, 4.1, 512 * KIB, 20, "tiny-chain"),
    "orin-dla": Published(8192, 1600, 105 / 4, 1 * MIB, 204.8, "googlenet"),  # of 2 DLAs, sparse weights count twice
    "exynos-2400-npu": Published(2 * 8192 + 2 * 512, 1196, 41.64, 6 * MIB, 68.2, "resnet50"),
    "tpu-v4i": Published(4 * 128 * 128, 1050, 138, 128 * MIB, 614, "resnet50"),
    "eyeriss": Published(12 * 14, 200, 2 * 33.6e-3, 108 * KIB // 2, 0.48 / 2, "tiny-ffn"),  # elements of 16 bits
}
TOLERANCE = 0.03
"""Published TOPS are rounded: 4 for 4.096, 138 for 137.6."""


def test_every_public_accelerator_has_its_figures_here() -> None:
    assert (*PAPER_PRESETS, *PUBLISHED) == PRESETS


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_has_the_published_figures(name: str) -> None:
    platform, published = PLATFORMS[name], PUBLISHED[name]
    assert platform.name == name
    assert platform.macs_per_cycle == published.macs_per_cycle
    assert platform.clock_hz == published.mhz * 10**6
    assert 2e-12 * platform.macs_per_cycle * platform.clock_hz == pytest.approx(published.tops, rel=TOLERANCE)
    assert platform.gbuf_bytes == published.gbuf_bytes
    assert platform.dram_bytes_per_second / 1e9 == pytest.approx(published.dram_gb_per_s, rel=1e-3)
    assert platform.core_array == "roofline"


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_figure_of_a_preset_names_its_source(name: str) -> None:
    first, *lines = preset_text(name).splitlines()
    assert first.startswith("# ")
    assert "Approximate." in first or "All else is as in" in first
    keys = set(re.findall(r"^# (\[\w+\])", "\n".join(lines), re.MULTILINE))
    for line in lines:
        field, _, comment = line.partition("#")
        name_of_field = field.split(":")[0].strip()
        if field.strip() and name_of_field not in (
            "version",
            "name",
            "extends",
            "core_array",
            "macs_per_pe",
            "energies",
        ):
            sourced = any(key in comment for key in keys) or re.match(r" (estimated|derived|Arm, ).", comment)
            assert sourced or name_of_field in ("GBUF_write", "OL2_read", "OL2_write"), line
        assert set(re.findall(r"\[\w+\]", comment)) <= keys, line


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_runs_a_network(name: str) -> None:
    problem = Problem(builtin_network(PUBLISHED[name].runs), PLATFORMS[name])
    plan = make_plan(problem, initial_lfa(problem))
    schedule = priced(plan, greedy_dlsa(plan))
    assert not violations(plan, schedule.dlsa)
    macs, _ = problem.network.operations
    assert schedule.evaluation.latency >= macs / PUBLISHED[name].macs_per_cycle
    assert schedule.evaluation.energy_pj > 0


TINY = ("tiny-attention", "tiny-ffn", "tiny-concat", "tiny-pool-fc", "tiny-wide", "tiny-unet")
ALL_TINY = (*TINY, "tiny-branch", "tiny-chain")


@pytest.mark.parametrize(
    ("name", "networks"),
    [
        ("eyeriss", TINY),
        ("nvdla-small", (*TINY, "tiny-branch")),
        ("ethos-u65", ALL_TINY),
        ("ethos-u55-256", ALL_TINY),
        ("nvdla-full", ALL_TINY),
        ("orin-dla", (*ALL_TINY, "googlenet", "densenet", "randwire")),
        ("exynos-2400-npu", ("resnet50", "gpt2-small", "vgg19")),
        ("tpu-v4i", ("unet", "gpt-j-6b-prefill")),
    ],
)
def test_networks_that_docs_name_run(name: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        initial_lfa(Problem(builtin_network(network), PLATFORMS[name]))


@pytest.mark.parametrize("name", ["ethos-u55-256", "nvdla-small", "eyeriss"])
def test_a_small_buffer_refuses_a_large_layer(name: str) -> None:
    with pytest.raises(LayerTooLargeError):
        initial_lfa(Problem(builtin_network("vgg19"), PLATFORMS[name]))


def test_docs_list_every_preset_with_its_figures() -> None:
    text = (DOCS / "file-formats.md").read_text(encoding="utf-8")
    section = text.partition("### Built-in platforms")[2].partition("\n## ")[0]
    table = section.partition("|---|")[2].partition("\n\n")[0]
    rows = {row.split("|")[1].strip(" `"): row for row in table.splitlines() if row.startswith("| `")}
    assert tuple(rows) == PRESETS
    for name, published in PUBLISHED.items():
        assert f"| {published.macs_per_cycle:,} " in rows[name]
        assert f"{PLATFORMS[name].dram_bytes_per_second / 1e9:.4g} GB/s" in rows[name]
        assert published.runs in text
