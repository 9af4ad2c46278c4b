"""The structure of the package: who may import whom, what a start must not load, and that names in docs exist."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest
from support.paths import DOCS, ROOT

FLOORS = ("model", "annealing", "solver", "cli", "api")
"""From the lowest up; each may import itself and those before it."""

WINGS = {
    "model": (
        "errors plug_ins kernel_cache kernel_compiler compiled arrays data_types sorting semantics objective files"
        " network hardware problem soma"
    ),
    "model/files": "text_file json_schema forms yaml_file",
    "model/network": (
        "layers network_checks network repeats types_in_use network_table extents network_forms network_schema"
        " network_file builtin rewrites onnx_import sources"
    ),
    "model/network/onnx_import": (
        "errors options views values graph layers pruning dividing arranging regrouping padding enlarging node_import"
        " operators tracing layouts roles functions reading needed_nodes element_types tensor_types batches dimensions"
        " folding layer_types graph_import ends importing checking"
    ),
    "model/network/onnx_import/operators": (
        "registry shape_rules steps matrices contraction elementwise layout joining parts sliding windows transposed"
        " resizing recurrent fused quantised attention_sizes attention without_layers table"
    ),
    "model/hardware": (
        "quantities field_kinds fields platform platform_forms platform_schema presets platform_file builtin core_array"
    ),
    "model/hardware/core_array": (
        "options unit_energies type_costs type_notes earlier_plug_ins protocol tile_work published_kernel published"
        " roofline cost_store zigzag_accelerator zigzag_engine zigzag registry"
    ),
    "model/soma": (
        "lfa tiling shared_loads lfa_arrays tensors dlsa occupancy plan footprint evaluation_kernel evaluation"
        " validity schedule result figures execution stored_schedule schedule_form schedule_schema schedule_document"
        " schedule_file"
    ),
    "model/soma/execution": "events execution execution_tables",
    "annealing": "acceptance budget progress monitor chunks second_stage first_stage cocco buffer_allocator",
    "annealing/second_stage": "greedy_kernel greedy dlsa_kernel annealing",
    "annealing/first_stage": (
        "groups slots periods moves cost_cache candidate_tiles candidate_transfers lfa_pricing lfa_kernel initial_lfa"
        " chain paper_search lfa_search"
    ),
    "annealing/cocco": (
        "tiling_rules group_table group_pricing group_pricer cocco_kernel cocco_search genomes genetic_kernel"
        " genetic_search"
    ),
    "solver": (
        "choices parameters plug_in_calls plug_in_results second_stage every_lfa second_stages periods passes"
        " first_stages start solve provenance blocks comparison ladder schedule_ladder advice pricing_warm_up"
        " warm_up sweep"
    ),
    "solver/sweep": (
        "axes point outcome methods rows marks artifact examples store findings tasks grid plan run processes cluster"
    ),
    "solver/sweep/findings": "cases ratios front surface imbalance tables claims shape_claims paper_claims",
    "solver/advice": "advice levers limits estimates advise checks",
    "solver/second_stage": (
        "piece_kernel windows_kernel piece windows cpsat_model cpsat_run piecewise exact_windows exact"
    ),
    "solver/every_lfa": (
        "tile_extents layer_choices part_bounds layer_bounds downsets heads lg_classes path_tiles path_steps"
        " path_kernel downset_paths path_times_kernel path_times wide_steps wide_needs wide_path_kernel wide_paths"
        " wide_times_kernel wide_times network_bounds"
        " flg_options suffixes prefix_kernel prefixes branch_and_bound"
    ),
    "cli": (
        "formats schema_names sweep_formats sweep_figures completion options option_groups command onnx_models inputs"
        " search_options interrupts streams run_log json_output tables timeline model_reports progress_display"
        " sweep_display kernel_progress advice stored starts reports result_schema commands app main"
    ),
    "api": (
        "wording values networks network_builder hardware lfas transfers preparation tables reporting schedules"
        " parameters cancelling history bounding results solving comparing"
    ),
}
"""What a folder holds, files and folders, from the lowest up: each may import itself and those before it."""

HEAVY = ("ortools", "numba", "pydantic", "matplotlib", "onnx", "networkx", "bokeh", "jinja2")

MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
FRAME = sorted((ROOT / "src" / "soma_cp").glob("*.py"))  # above the floors, which are links in this folder
PAGES = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")), *sorted(DOCS.glob("*.md"))]


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def floor_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def dotted(path: Path) -> str:
    return ".".join(("soma_cp", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported_names(path: Path) -> tuple[str, ...]:
    """The full name of everything that a file imports, also within functions; relative ones begin with dots."""
    names: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            # `from soma_cp import model` names the module in the alias.
            names += [f"{origin}.{alias.name}" for alias in node.names]
    return tuple(names)


PATH_OF = {dotted(path): path for path in MODULES}


def imported_files(path: Path) -> Iterator[Path]:
    """Yield the files of the floors that a file imports."""
    for name in imported_names(path):
        found = PATH_OF.get(name) or PATH_OF.get(name.rpartition(".")[0])
        if found is not None and found != path:
            yield found


def imports_of(path: Path, package: str) -> bool:
    return any(name.split(".")[0] == package for name in imported_names(path))


def test_examples_follow_the_profile() -> None:
    """Only `examples` sets how many examples a property test runs."""
    texts = {label(path): path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    counting = {name for name, text in texts.items() if re.search(r"settings\(max_examples", text)}
    assert counting == {"tests/support/twins.py", "tests/support/test_slow_twins.py"}  # the other finds a first example


def test_every_floor_has_modules() -> None:
    assert {floor_of(path) for path in MODULES} == set(FLOORS)
    assert FRAME


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_go_down_only(path: Path) -> None:
    allowed = FLOORS[: FLOORS.index(floor_of(path)) + 1]
    for name in imported_names(path):
        parts = name.split(".")
        if parts[0] == "soma_cp":
            # Floors may import the version alone from the package itself.
            assert parts[1] in allowed or name == "soma_cp.__version__", name


@pytest.mark.parametrize("folder", WINGS)
def test_every_file_of_a_floor_has_its_place(folder: str) -> None:
    found = {path.stem for path in (ROOT / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found - {"__init__"} == set(WINGS[folder].split())


@pytest.mark.parametrize("folder", WINGS)
def test_imports_within_a_folder_go_down_only(folder: str) -> None:
    rank = {entry: place for place, entry in enumerate(WINGS[folder].split())}
    for path in (ROOT / folder).rglob("*.py"):
        for other in imported_files(path):
            if other.is_relative_to(ROOT / folder) and path.name != "__init__.py":
                entries = [file.relative_to(ROOT / folder).parts[0].removesuffix(".py") for file in (path, other)]
                assert rank[entries[0]] >= rank[entries[1]], f"{label(path)} imports {label(other)}"


def test_no_files_import_one_another_in_a_circle() -> None:
    graph = nx.DiGraph((label(path), label(other)) for path in MODULES for other in imported_files(path))
    assert [sorted(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1] == []


def test_init_files_hold_one_sentence() -> None:
    for path in MODULES:
        if path.name == "__init__.py":
            body = parsed(path).body
            assert len(body) == 1, label(path)
            assert isinstance(body[0], ast.Expr), label(path)


@pytest.mark.parametrize("path", MODULES + FRAME, ids=label)
def test_imports_are_absolute_and_begin_with_the_package(path: Path) -> None:
    for name in imported_names(path):
        assert not name.startswith("."), f"relative import of {name}"
        assert name.split(".")[0] not in (*FLOORS, "benchmarks", "tests"), f"{name}: write soma_cp.{name}"


def test_ortools_is_known_to_the_solver_alone() -> None:
    assert [label(path) for path in MODULES + FRAME if imports_of(path, "ortools") and floor_of(path) != "solver"] == []


def test_numba_is_known_to_two_modules() -> None:
    assert [label(path) for path in MODULES + FRAME if imports_of(path, "numba")] == [
        "model/kernel_cache.py",
        "model/kernel_compiler.py",
    ]


def test_dask_is_known_to_one_module() -> None:
    known = [label(path) for path in MODULES + FRAME if imports_of(path, "distributed") or imports_of(path, "dask")]
    assert known == ["solver/sweep/cluster.py"]


def test_zigzag_is_known_to_one_module() -> None:
    known = [label(path) for path in MODULES + FRAME if imports_of(path, "zigzag")]
    assert known == ["model/hardware/core_array/zigzag_engine.py"]


def test_the_terminal_is_known_to_the_cli_alone() -> None:
    for package in ("typer", "rich", "click"):
        assert {floor_of(path) for path in MODULES if imports_of(path, package)} <= {"cli"}


@pytest.mark.parametrize("path", MODULES + FRAME, ids=label)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


# What docs and docstrings name.

NAMED_FILE = re.compile(r"(?<![\w/.])((?:[\w-]+/)*[\w-]+\.(?:py|md|svg|toml))(?![\w/])")
USERS_FILES = {"make_model.py", "my_arrays.py", "my_lfas.py", "my_stages.py"}
"""Files that docs ask users to write."""
NAMED_MODULE = re.compile(r"soma_cp(?:\.[a-z_]\w*)+")


def known_files() -> set[str]:
    """Every path of a file of the project from its root, from a floor or docs, and its bare name."""
    folders = (*FLOORS, "benchmarks", "examples", "tests", "docs")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.*")] + list(ROOT.glob("*.*"))
    return {name for path in paths for name in (label(path), path.name)}


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_files_that_docs_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":
        text = re.sub(r"`[^`]*` is gone", "", text)
    known = known_files() | USERS_FILES
    named = {match[1] for match in NAMED_FILE.finditer(re.sub(r"https?://\S+", "", text))}
    assert sorted(name for name in named if name not in known and not (page.parent / name).exists()) == []


@pytest.mark.parametrize("path", [*PAGES, *MODULES, *FRAME], ids=label)
def test_modules_that_texts_name_exist(path: Path) -> None:
    """A dotted name is a module or folder, or something within one."""
    if path.name == "former_addresses.py":  # names former modules
        return
    known = {
        *PATH_OF,
        "soma_cp",
        "soma_cp.__main__",
        "soma_cp.__version__",
        "soma_cp.core_arrays",
        "soma_cp.first_stages",
        "soma_cp.second_stages",
    }
    for name in NAMED_MODULE.findall(path.read_text(encoding="utf-8")):
        parts = name.split(".")
        holder = next(".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in known)
        rest = parts[len(holder.split(".")) :]
        if rest and holder in PATH_OF:
            assert re.search(rf"\b{rest[0]}\b", PATH_OF[holder].read_text(encoding="utf-8")), name
        else:
            assert not rest, name


NAMED_SECTION = re.compile(r"(?<![\w/])(?:docs/)?([a-z-]+\.md)#([\w-]+)")


@cache
def anchors(page: str) -> frozenset[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("path", [*PAGES, *MODULES, *FRAME], ids=label)
def test_sections_that_texts_name_exist(path: Path) -> None:
    for page, anchor in NAMED_SECTION.findall(path.read_text(encoding="utf-8")):
        assert anchor in anchors(page), f"{page}#{anchor}"


def test_the_model_is_documented_in_the_house() -> None:
    """The code cites docs/model.md, and no document that readers lack."""
    assert [label(path) for path in MODULES if "specification" in path.read_text(encoding="utf-8").lower()] == []
    assert any("docs/model.md#" in path.read_text(encoding="utf-8") for path in MODULES)


# What a start loads.


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after `code`."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('loaded:', *sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return {name.split(".")[0] for name in run.stdout.rpartition("loaded:")[2].split()}


RUN_HELP = """
import runpy, sys
sys.argv = ["soma-cp", "--help"]
try:
    runpy.run_module("soma_cp", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_after(RUN_HELP)
    assert "typer" in loaded  # the command did run
    assert loaded.isdisjoint(HEAVY), sorted(loaded & set(HEAVY))


def test_the_package_itself_loads_nothing_heavy() -> None:
    assert loaded_after("import soma_cp").isdisjoint(HEAVY)


RUN_LISTS = """
import sys
from soma_cp.cli.main import main
for words in (["hw"], ["nets"], ["schema", "network"], ["schema", "hardware"], ["schema", "schedule"],
              ["schema", "result"]):
    sys.argv = ["soma-cp", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
"""


def test_lists_and_schemas_need_neither_kernels_nor_the_solver() -> None:
    assert loaded_after(RUN_LISTS).isdisjoint({"numba", "ortools"})


def test_help_of_the_module_run_as_a_program() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "soma_cp", "--help"], capture_output=True, text=True, timeout=60, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    assert "Usage" in run.stdout
    assert "solve" in run.stdout
