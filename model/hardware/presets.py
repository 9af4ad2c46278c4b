"""The hardware files of the built-in platforms."""

from pathlib import Path

from soma_cp.model.files.text_file import read_text

PAPER_PRESETS = ("edge", "cloud")
"""Names of the two platforms of the SoMa paper."""

PRESETS = (
    *PAPER_PRESETS,
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65",
    "ethos-u85",
    "nvdla-small",
    "nvdla-full",
    "orin-dla",
    "exynos-2400-npu",
    "tpu-v4i",
    "eyeriss",
)
"""Names of all built-in platforms; those not of the paper approximate accelerators that the public knows."""


def preset_path(name: str) -> Path:
    """Return the hardware file of the built-in platform called `name`."""
    return Path(__file__).parent / "builtin" / f"{name}.yaml"


def preset_text(name: str) -> str:
    """Return the hardware file of the built-in platform called `name`, to start your own from."""
    return read_text(preset_path(name))
