"""Ready files of sweeps: the experiments of the SoMa paper (HPCA 2025), whole or quick (docs/sweeps.md#ready-files)."""

from collections.abc import Mapping

_BARS = "methods: [cocco, paper-1, paper-2, ours]"

_FIG6 = """
# Fig. 6: energy and utilization of 48 cases. A GPT-2 network is one block of 12 (Small) or 48 (XL).
version: 1
name: {name}
{bars}
grid: {{batch: {batches}}}
cases:
- {{net: [resnet50, resnet101, inception-resnet-v1, randwire-small], hw: [edge, cloud]}}
- {{net: [gpt2-small-prefill, gpt2-small-decode], hw: edge}}
- {{net: [gpt2-xl-prefill, gpt2-xl-decode], hw: cloud}}
"""

_FIG7 = """
# Fig. 7: latency over buffer and DRAM bandwidth, of the array of edge.
version: 1
name: {name}
methods: [cocco, paper-2, ours]
grid:
  net: [resnet50, gpt2-small-prefill]
  hw: edge
  batch: {batches}
  buffer: {{from: 4 MiB, to: 32 MiB, times: 2}}
  dram: {{from: 2 GB/s, to: 128 GB/s, times: {step}}}
"""

_FIG8 = """
# Fig. 8: execution graphs. The paper does not say the batch; its text fits batch 4 of ResNet-50.
version: 1
name: fig8
methods: [cocco, paper-1, paper-2, ours]
cases:
- {net: resnet50, hw: edge, batch: [1, 4]}
- {net: gpt2-xl-prefill, hw: [edge, cloud], batch: [1, 4]}
"""

_FIG3 = """
# Fig. 3: DRAM bytes and operations of the tiles under Cocco. transformer-big-cell is the nearest to Transformer-Large.
version: 1
name: fig3
methods: [cocco]
grid: {net: [resnet50, transformer-big-cell], hw: edge}
"""

_LLM = """
# Language models: prefill and decode of one block of 12 (Small) or 48 (XL) of GPT-2, as in Fig. 6. Decode also runs
# with a quarter and four times the cached tokens: the more of them, the less its utilization grows with the batch.
version: 1
name: llm
methods: [cocco, paper-1, paper-2, ours]
grid: {batch: [1, 4, 16, 64]}
cases:
- {net: [gpt2-small-prefill, gpt2-small-decode], hw: edge}
- {net: [gpt2-xl-prefill, gpt2-xl-decode], hw: cloud}
- {net: gpt2-small-decode, hw: edge, seq: [128, 2048]}
- {net: gpt2-xl-decode, hw: cloud, seq: [256, 4096]}
"""

_COCCO_TILING = """
# The rule of tiling numbers, which decides what Cocco reaches: a table beside Fig. 6.
version: 1
name: cocco-tiling
methods: [cocco, cocco-exact, paper-2]
grid: {batch: [1, 4], tiling: [output, largest, inherit], uncapped: [false, true]}
cases:
- {net: [resnet50, resnet101, inception-resnet-v1, randwire-small], hw: [edge, cloud]}
- {net: [gpt2-small-prefill, gpt2-small-decode], hw: edge}
- {net: [gpt2-xl-prefill, gpt2-xl-decode], hw: cloud}
"""

EXAMPLES: Mapping[str, str] = {
    "fig3": _FIG3,
    "fig6": _FIG6.format(name="fig6", bars=_BARS, batches="[1, 4, 16, 64]"),
    "fig6-quick": _FIG6.format(name="fig6-quick", bars=_BARS, batches="[1, 4]"),
    "fig7": _FIG7.format(name="fig7", batches="[1, 4, 16]", step=2),
    "fig7-quick": _FIG7.format(name="fig7-quick", batches="[1, 4]", step=4),
    "fig8": _FIG8,
    "llm": _LLM,
    "cocco-tiling": _COCCO_TILING,
}
"""The text of each file by its name."""


def example(name: str) -> str:
    """Return the text of a ready file."""
    return EXAMPLES[name].lstrip()
