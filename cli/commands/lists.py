"""``soma-cp nets`` and ``soma-cp hw``."""

from pathlib import Path
from typing import Any

from soma_cp.cli.formats import Format, csv_text
from soma_cp.cli.inputs import network_from
from soma_cp.cli.json_output import print_json
from soma_cp.cli.model_reports import model_document, node_rows, show_model
from soma_cp.cli.onnx_models import NO_ONNX, OnnxModels, print_notes
from soma_cp.cli.option_groups import NO_TYPES, TypeOptions
from soma_cp.cli.tables import console, plain_table, rates_text, typed_name
from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS, platform_named
from soma_cp.model.hardware.core_array.type_notes import weight_notes
from soma_cp.model.hardware.platform_file import platform_document
from soma_cp.model.hardware.presets import preset_text
from soma_cp.model.hardware.quantities import MIB, SIZE_EXAMPLE, bytes_of, is_bare_number
from soma_cp.model.network.builtin.catalogue import ALIASES, built_in, builtin_names, builtin_network
from soma_cp.model.network.onnx_import.reading import ENDING
from soma_cp.model.network.rewrites.channels import divided
from soma_cp.model.network.sources import is_onnx

NOTES_ON_NETS = (
    "GMAC and MiB of weights: one sample.",
    "GPT, Llama and BERT are one transformer block, lstm and gnmt one time step.",
    "Layers larger than the buffer are divided by output channels; --space paper",
    "divides none: then llama2-70b, with layers of 256 MiB, needs --buffer 257MiB.",
    "--json describes each. Your own: --net FILE.json; --export NET writes one, with",
    "--divide 8MiB one without larger layers. --check MODEL.onnx reports on a model.",
)

NOTES_ON_PLATFORMS = (
    "The first two are those of the SoMa paper, with its core array; the others are",
    "public accelerators, approximated by a roofline. --export NAME writes the file",
    "of a platform, with the sources of its figures, to start your own from.",
    "MACs are those of INT8. Your own: --hw FILE, --buffer 4MiB, --dram 32GB/s.",
)


def run_export(
    name: str,
    tokens: int | None,
    output: Path | None,
    onnx: OnnxModels = NO_ONNX,
    divide: str | None = None,
    types: TypeOptions = NO_TYPES,
) -> None:
    """Write a network as a network file; with `divide`, with no more weights in a layer than this size."""
    most = None
    if divide is not None:
        most = bytes_of(divide)
        if is_bare_number(divide):
            raise UserError(f"--divide={divide} has no unit (must be a size such as 2MiB)")
        if not most:
            raise UserError(f"--divide={divide} (must be {SIZE_EXAMPLE})")
    # Imported late: pydantic takes a while.
    from soma_cp.model.network.network_file import write_network_file

    network = network_from(name, tokens, onnx, types)
    print_notes(name, weight_notes(network))
    if most is not None:
        network = divided(network, most)
    path = Path(f"{network.name}.json") if output is None else output
    write_network_file(network, path)
    console().print(f"{typed_name(network)} written to {path}", soft_wrap=True, markup=False)


def checked_choice(export: str | None, check: str | None, form: Format | None) -> None:
    """Refuse options of ``nets`` that exclude one another, and a check of what is no ONNX model."""
    if export is not None and check is not None:
        raise UserError(f"--export={export} with --check={check}; leave one of the two out")
    if check is not None and not is_onnx(check):
        raise UserError(f"--check {check} is for ONNX models, whose names end in {ENDING}; leave it out")
    if check is None and form is not None:
        raise UserError(f"--format={form.value} without --check MODEL.onnx, to which it applies; give both or neither")


def run_check(
    spec: str,
    tokens: int | None,
    types: TypeOptions,
    output: Path | None,
    divide: str | None,
    onnx: OnnxModels,
    form: Format,
) -> None:
    """Report what every node of an ONNX model becomes; refuse a model that can't be imported, after the report."""
    for option, value in (("--seq", tokens), *types.values, ("--output", output), ("--divide", divide)):
        if value is not None:
            raise UserError(f"{option}={value} with --check, to which it does not apply; leave it out")
    # Imported late: few runs need it.
    from soma_cp.model.network.onnx_import.checking import Becomes, check_onnx

    report = check_onnx(Path(spec), onnx.words.parsed())
    print_notes(spec, report.notes)
    if form is Format.JSON:
        print_json("nets --check", model_document(report))
    elif form is Format.CSV:
        print(csv_text(node_rows(report)), end="")
    else:
        show_model(report, markdown=form is Format.MARKDOWN)
    if report.network is None:
        refused = sum(node.becomes is Becomes.REFUSED for node in report.nodes)
        faults = [f"refused nodes: {refused} of {len(report.nodes)}"] if refused else []
        raise UserError("\n".join([f"{spec}: {said}" for said in (*report.problems, *faults, report.advice) if said]))


def run_nets(as_json: bool, tokens: int | None, types: TypeOptions, output: Path | None, divide: str | None) -> None:
    """List the built-in networks with their sizes; refuse options that only an export takes."""
    for option, value in (("--seq", tokens), *types.values, ("--output", output), ("--divide", divide)):
        if value is not None:
            raise UserError(f"{option}={value} without --export NET, to which it applies; give both or neither")
    rows: list[dict[str, Any]] = []
    for name in builtin_names():
        network = builtin_network(name)
        entry = built_in(name)
        rows.append(
            {
                "name": name,
                "aliases": [alias for alias, target in ALIASES.items() if target == name],
                "description": entry.description,
                "layers": len(network.layers),
                "operations": sum(network.operations),
                "macs": network.operations[0],
                "weight_bytes": network.weight_bytes,
                "blocks": network.blocks,
                "tokens": entry.tokens,
                "platform": entry.platform,
            }
        )
    if as_json:
        print_json("nets", {"nets": rows})
        return
    table = plain_table("network", "alias", "layers", "GMAC", "MiB", "tokens", "platform", gap=2)
    table.columns[1].justify = table.columns[-1].justify = "left"
    for row in rows:
        table.add_row(
            row["name"],
            ", ".join(row["aliases"]),
            str(row["layers"]),
            f"{row['macs'] / 1e9:.3f}",
            f"{row['weight_bytes'] / MIB:.2f}",
            str(row["tokens"] or "–"),
            row["platform"],
        )
    out = console()
    out.print(table)
    out.print()
    for line in NOTES_ON_NETS:
        out.print(line)


def run_hardware_export(name: str, output: Path | None) -> None:
    """Write the hardware file of a built-in platform."""
    platform_named(name)
    path = Path(f"{name}.yaml") if output is None else output
    write_text_atomically(path, preset_text(name))
    console().print(f"{name} written to {path}", soft_wrap=True, markup=False)


def run_hw(as_json: bool, output: Path | None) -> None:
    """List the built-in platforms."""
    if output is not None:
        raise UserError(f"--output={output} without --export PLATFORM, to which it applies; give both or neither")
    if as_json:
        print_json("hw", {"platforms": {name: platform_document(p) for name, p in PLATFORMS.items()}})
        return
    table = plain_table(
        "\nplatform",
        "GBUF\n(MiB)",
        "DRAM\n(GB/s)",
        "DRAM\n(pJ/B)",
        "clock\n(GHz)",
        "MACs\nper cycle",
        "GBUF to PEs\n(B/cycle)",
        "\nTOPS",
        gap=2,
    )
    for name, platform in PLATFORMS.items():
        table.add_row(
            name,
            f"{platform.gbuf_bytes / MIB:.3g}",
            f"{platform.dram_bytes_per_second / 1e9:.4g}",
            f"{platform.dram_pj_per_byte:.4g}",
            f"{platform.clock_hz / 1e9:g}",
            f"{platform.macs_per_cycle:,}",
            f"{platform.gbuf_bytes_per_cycle:,}",
            f"{2 * platform.macs_per_cycle * platform.clock_hz / 1e12:.3g}",
        )
    out = console()
    out.print(table)
    for name, platform in PLATFORMS.items():
        if platform.macs_per_cycle_by_type:
            out.print(f"{name}: {rates_text(platform)}")
    for line in NOTES_ON_PLATFORMS:
        out.print(line)
