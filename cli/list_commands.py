"""``soma-cp nets`` and ``soma-cp hw``."""

from soma_cp.cli.tables import console, plain_table, print_json
from soma_cp.model.networks.catalogue import ALIASES, built_in, builtin_names, builtin_network
from soma_cp.model.platform import MIB, PLATFORMS
from soma_cp.model.platform_file import platform_document


def run_nets(as_json: bool) -> None:
    """List the built-in networks with their sizes."""
    rows = []
    for name in builtin_names():
        network = builtin_network(name)
        entry = built_in(name)
        rows.append(
            {
                "name": name,
                "aliases": [alias for alias, target in ALIASES.items() if target == name],
                "description": entry.description,
                "layers": len(network.layers),
                "operations": sum(layer.operations for layer in network.layers),
                "macs": sum(layer.operations for layer in network.layers if layer.is_matrix),
                "weight_bytes": sum(layer.weight_bytes for layer in network.layers),
                "blocks": network.blocks,
                "tokens": entry.tokens,
                "platform": entry.platform,
            }
        )
    if as_json:
        print_json({"nets": rows})
        return
    table = plain_table("network", "layers", "GMAC", "weights (MiB)", "blocks", "tokens", "platform", "what it is")
    table.columns[6].justify = table.columns[7].justify = "left"
    table.columns[7].no_wrap = False
    for row in rows:
        names = " = ".join([str(row["name"]), *row["aliases"]])  # type: ignore[misc]
        table.add_row(
            names,
            str(row["layers"]),
            f"{row['macs'] / 1e9:.3f}",  # type: ignore[operator]
            f"{row['weight_bytes'] / MIB:.2f}",  # type: ignore[operator]
            str(row["blocks"]),
            str(row["tokens"] or "–"),
            str(row["platform"]),
            str(row["description"]),
        )
    out = console()
    out.print(table)
    out.print("GMAC and weights are those of one sample and one block. Own networks: --net FILE.json.")


def run_hw(as_json: bool) -> None:
    """List the built-in platforms."""
    if as_json:
        print_json({"platforms": {name: platform_document(p) for name, p in PLATFORMS.items()}})
        return
    table = plain_table("platform", "GBUF (MiB)", "DRAM (GB/s)", "PEs", "MACs per PE", "GBUF→PE (B/cycle)", "TOPS")
    for name, platform in PLATFORMS.items():
        table.add_row(
            name,
            f"{platform.gbuf_bytes / MIB:g}",
            str(platform.dram_bytes_per_cycle),
            f"{platform.pe_grid}×{platform.pe_grid}",
            str(platform.macs_per_pe),
            str(platform.gbuf_bytes_per_cycle),
            f"{2 * platform.macs_per_cycle / 1024:g}",
        )
    out = console()
    out.print(table)
    out.print("At 1 GHz, INT8. Own platforms: --hw FILE.json.")
