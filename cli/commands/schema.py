"""``soma-cp schema``."""

import json
from pathlib import Path

from soma_cp.cli.schema_names import SchemaName
from soma_cp.cli.tables import console
from soma_cp.model.files.json_schema import Schema
from soma_cp.model.files.text_file import write_text_atomically


def run_schema(name: SchemaName, output: Path | None) -> None:
    """Print a schema, or write it to a file."""
    text = json.dumps(_schema(name), indent=1) + "\n"
    if output is None:
        print(text, end="")
        return
    write_text_atomically(output, text)
    console().print(f"schema of {name.value} written to {output}", soft_wrap=True, markup=False)


def _schema(name: SchemaName) -> Schema:
    # Imported late: each takes a while.
    match name:
        case SchemaName.NETWORK:
            from soma_cp.model.network.network_schema import network_schema

            return network_schema()
        case SchemaName.HARDWARE:
            from soma_cp.model.hardware.platform_schema import platform_schema

            return platform_schema()
        case SchemaName.SCHEDULE:
            from soma_cp.model.soma.schedule_schema import schedule_schema

            return schedule_schema()
        case SchemaName.RESULT:
            from soma_cp.cli.result_schema import result_schema

            return result_schema()
