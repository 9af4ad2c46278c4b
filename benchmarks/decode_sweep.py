"""What one decode step moves as its cache grows: weights, then the cached keys and values.

    python benchmarks/decode_sweep.py [--net gpt2-xl-decode] [--hw cloud] [--batch 4]

For each number of cached tokens and each pair of data types: cycles of one transformer block, the share of its DRAM
bytes that are weights and that are the cache, and latency over the bound of the wide space. Each solve has the default
parameters and the greedy second stage.
"""

import argparse

import numpy as np

import soma_cp as sc

TOKENS = (128, 512, 2048, 8192)
TYPES = (("int8", "int8"), ("int4/128", "int8"), ("int4/128", "fp16"))
"""Weights and activations; the cache has the type of activations."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", default="gpt2-xl-decode", help="a built-in decode step")
    parser.add_argument("--hw", default="cloud", help="the platform")
    parser.add_argument("--batch", type=int, default=4, help="sequences that are decoded together")
    options = parser.parse_args()
    print("| weights | activations | cached tokens | cycles | DRAM (MB) | weights | cache | above the bound |")
    print("|---|---|---|---|---|---|---|---|")
    for weights, activations in TYPES:
        for tokens in TOKENS:
            network = sc.load_network(options.net, tokens=tokens, weights=weights, activations=activations)
            result = sc.solve(network, options.hw, batch=options.batch, stage2="greedy")
            tensors = result.schedule.tensors
            moved = np.array(tensors["dram_bytes"], np.float64)
            of_weights = moved[np.array(tensors["kind"]) == "wgt"].sum()
            cached = [source.name for source in network.inputs if "cache" in source.name.lower()]
            of_cache = moved[np.isin(np.array(tensors["source"]), cached)].sum()
            cycles, bound = result.schedule.latency_cycles, result.bounds.latency_cycles
            cells = (
                weights,
                activations,
                f"{tokens:,}",
                f"{cycles:,}",
                f"{moved.sum() / 1e6:,.1f}",
                f"{of_weights / moved.sum():.0%}",
                f"{of_cache / moved.sum():.0%}",
                f"{cycles / bound - 1:.2%}",
            )
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
