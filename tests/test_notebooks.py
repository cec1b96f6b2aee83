"""Notebooks run from start to end, define nothing, and are committed with their outputs."""

from __future__ import annotations

import ast

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def source(notebook: nbformat.NotebookNode) -> str:
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    return "\n".join(line for cell in cells for line in cell.splitlines() if line[:1] != "%")


def _inside(node: ast.AST) -> bool:
    """Whether this imports anything of the project but its interface."""
    names = []
    if isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names if alias.name != "hwgen"]
    return any(name.split(".")[0] in ("hwgen", "costmodel", "sim") for name in names)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.verilator
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    notebook = nbformat.read(path, 4)
    place = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_logic_and_its_outputs(path):
    notebook = nbformat.read(path, 4)
    for node in ast.walk(ast.parse(source(notebook))):
        assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.While | ast.If)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    nodes = list(ast.walk(ast.parse(source(notebook))))
    imports = [node for node in nodes if isinstance(node, ast.Import)]
    assert not [node for node in nodes if _inside(node)]
    assert "hwgen" in {alias.name for node in imports for alias in node.names}
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
