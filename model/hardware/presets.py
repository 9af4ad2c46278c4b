"""The hardware files of the built-in platforms."""

from pathlib import Path

from soma_cp.model.files.text_file import read_text

PRESETS = ("edge", "cloud")
"""Names of the two platforms of the SoMa paper."""


def preset_path(name: str) -> Path:
    """Return the hardware file of the built-in platform called `name`."""
    return Path(__file__).parent / "builtin" / f"{name}.yaml"


def preset_text(name: str) -> str:
    """Return the hardware file of the built-in platform called `name`, to start your own from."""
    return read_text(preset_path(name))
