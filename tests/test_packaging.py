"""The package list, the floors and the start-up time budget's cause: what is imported when."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "perfmodel"

FLOORS = (
    {"answer", "errors", "files", "locks", "processes", "units"},
    {"graph"},
    {"zoo"},
    {"formats"},
    {"kernels"},
    {"target"},
    {"measurements"},
    {"cost_models"},
    {"devices"},
    {"workload"},
    {"inspection"},
    {"kernel_times"},
    {"known_elsewhere", "latency_kinds"},
    {"prediction"},
    {"many_queries"},
    {"runners"},
    {"calibration"},
    {"sim"},
    {"plans"},
    {"explore"},
    {"experiments"},
    {"render"},
    {"cli", "ui"},
)
"""From the ground up; a module imports its own floor and lower ones."""


def floor_of(name: str) -> int:
    return next(i for i, floor in enumerate(FLOORS) if name in floor)


def imported(path: Path) -> set[str]:
    """First component after `perfmodel.` of every import in a file, lazy ones included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] == "perfmodel":
                names |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("perfmodel.")}
    return names


def test_arrows_between_floors_only_go_down() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in ("__init__", "__main__"):
            continue
        wrong += [
            f"{path.relative_to(ROOT)} imports {name}"
            for name in imported(path)
            if floor_of(name) > floor_of(own)
        ]
    assert not wrong


def modules_of(*tops: str) -> dict[str, Path]:
    """File of every module below some packages."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for top in tops
        for path in (ROOT / top).rglob("*.py")
    }


def names_imported(path: Path) -> set[tuple[str, str]]:
    """(module, name) of every import, those inside functions included; name "" for a module.

    What is imported for the checker of types only is no arrow.
    """
    found: set[tuple[str, str]] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
                found.update((child.module, alias.name) for alias in child.names)
            elif isinstance(child, ast.Import):
                found.update((alias.name, "") for alias in child.names)
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return found


def arrows(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Which of the modules each of them imports."""
    return {
        name: {
            target
            for module, attribute in names_imported(path)
            for target in (f"{module}.{attribute}" if attribute else module, module)
            if target in modules and target != name
        }
        for name, path in modules.items()
    }


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that reach themselves, by circle: those that reach one another stand together."""
    reach = {name: reachable(graph, name) for name in graph}
    found = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return sorted(sorted(circle) for circle in found)


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Every module that is imported from `start`, directly or not."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}, "e": {"a", "d"}}
    assert circles(graph) == [["b", "c"], ["d"]]


@pytest.fixture(scope="module")
def found_circles() -> list[list[str]]:
    """Circles among the modules of the package."""
    modules = {name: path for name, path in modules_of("perfmodel").items() if "." in name}
    return circles(arrows(modules))


def test_no_module_imports_itself_by_way_of_others(found_circles: list[list[str]]) -> None:
    assert found_circles == []


PUBLIC = {
    "perfmodel.errors": {"*"},
    "perfmodel.files": {"write_atomically"},
    "perfmodel.experiments.scores": {"*"},
    "perfmodel.cost_models.interval": {"bounds_by_kind", "ratio_bounds"},
    "perfmodel.calibration.device_kinds": {"shipped_kinds"},
    "perfmodel.calibration.from_spec": {"NEWEST_NETWORKS", "facts_key"},
    "perfmodel.calibration.measured": {"NetworkTables"},
    "perfmodel.measurements.read": {"read_measurements"},
    "perfmodel.measurements.table": {"MeasurementTable", "make_frame"},
    "perfmodel.measurements.device_names": {"device_slug"},
    "perfmodel.measurements.plausibility": {"kernel_macs"},
    "perfmodel.devices.profile": {"DeviceProfile", "TargetProfile", "read_profile"},
    "perfmodel.devices.cpu_specs": {"cpu_sheet"},
    "perfmodel.devices.gpu_specs": {"GPU_SPECS", "gpu_family", "of_nvidia"},
    "perfmodel.devices.market": {"chips"},
    "perfmodel.devices.sheet_data": {"MeasuredSheet", "uses_wide_units"},
    "perfmodel.devices.sheet_rows": {"target_class"},
    "perfmodel.devices.spec_sheet": {"OLD_VERSION", "of_old_version", "silicon"},
    "perfmodel.formats.load": {"load"},
    "perfmodel.formats.structure": {"write_structure"},
    "perfmodel.graph.builder": {"GraphBuilder"},
    "perfmodel.graph.ir": {"Graph", "Op", "Tensor"},
    "perfmodel.kernels": {"KernelTable"},
    "perfmodel.target": {"Target", "full_target", "PRECISIONS", "QUANTISED"},
    "perfmodel.workload": {"workload"},
    "perfmodel.zoo.layers": {"*"},
    "perfmodel.zoo.pack": {"LIBRARIES", "packed_networks"},
    "perfmodel.zoo.published_names": {"model_name"},
}
"""What the accuracy studies may take from the package beside the functions of `import perfmodel`:
plain data, data sheets, networks, errors, statistics and the reading of tables. No model of costs,
no step of a calibration: a figure that those give is one that no user gets."""


def test_the_accuracy_studies_use_what_users_use() -> None:
    modules = modules_of("validation")
    graph = arrows(modules)
    used = {"validation.accuracy.__main__"} | {
        name for name in modules if name.startswith("validation.accuracy.")
    }
    used |= {other for name in list(used) for other in reachable(graph, name)}
    wrong = sorted(
        f"{name} takes {attribute or 'the whole'} of {module}"
        for name in used
        for module, attribute in names_imported(modules[name])
        if module.startswith("perfmodel.") and not PUBLIC.get(module, set()) & {attribute, "*"}
    )
    assert wrong == []


def test_every_package_folder_is_listed_for_the_wheel() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^packages = \[(.*?)\]", text, re.S | re.M)
    assert block is not None
    listed = set(re.findall(r'"([^"]+)"', block[1]))
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in PACKAGE.rglob("__init__.py")} | {
        "perfmodel.hw_profiles"
    }
    assert listed == folders


@pytest.mark.parametrize("module", ["perfmodel", "perfmodel.cli"])
def test_start_up_imports_nothing_heavy(module: str) -> None:
    heavy = ("pandas", "sklearn", "scipy", "simpy", "ai_edge_litert", "numpy", "onnx", "pydantic")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_wheel_predicts_from_another_folder(tmp_path: Path) -> None:
    """Build the wheel, install it beside the same dependencies and ask from elsewhere."""
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(ROOT)], check=True)
    target = tmp_path / "site"
    wheel = next(wheels.glob("perfmodel-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "perfmodel", "predict", "mobilenet_v2"]
    out = subprocess.run(
        [*command, "--on", "snapdragon-855-plus/cpu"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.startswith("mobilenet_v2 takes ")


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by their base names: a second one stops the whole run."""
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(n for n in set(names) if names.count(n) > 1) == []


def test_no_shipped_file_names_a_folder_of_a_machine() -> None:
    shipped = [*ROOT.glob("hw_profiles/**/*.json"), *ROOT.glob("validation/results/*.json")]
    assert shipped
    named = re.compile(r'"/(?:tmp|home|root|work|Users|mnt)/')
    assert [str(p) for p in shipped if named.search(p.read_text(encoding="utf-8"))] == []
