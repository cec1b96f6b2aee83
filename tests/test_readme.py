"""What the documentation shows to copy is legal, and its pages make a site without a warning."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import hwgen
from hwgen.cli import app
from hwgen.space.axes import Axes
from hwgen.space.space import Space
from hwgen.space.sweep_file import load_sweep
from hwgen.spec.config import CoreConfig, load_core
from scripts.reference import pages
from sim.golden.integers import keys_from_weights
from tests.support import ROOT

README = ROOT / "README.md"
HOWTO = ROOT / "docs" / "howto"
SWEEPS = (HOWTO / "sweep.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fenced(language: str) -> list[tuple[Path, str]]:
    """Every block of a language, with its page."""
    return [
        (page, text)
        for page in pages()
        for found, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


def commands() -> list[tuple[Path, str]]:
    lines = [(page, line) for page, text in fenced("sh") for line in text.splitlines()]
    return [(page, line) for page, line in lines if line.startswith("hwgen ")]


@pytest.fixture
def sweep(tmp_path):
    (block,) = re.findall(r"```yaml\n(workload:\n  name: .*?)```", SWEEPS, re.DOTALL)
    path = tmp_path / "sweep.yaml"
    path.write_text(block)
    return load_sweep(path)


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) <= 1500


def test_the_sweep_to_copy_spans_what_its_comments_say(sweep):
    space = Space(sweep, 2560, 6912)
    assert space.axes["mu"] == [1, 2, 3, 4]
    assert space.axes["tables"] == [4, 8, 16, 32, 64]
    assert {core.fixed_bits for core in space.cores()} == {None, 24}
    assert list(space.dropped) == ["same core: differs only in axes that do not concern it"]


def test_the_axes_are_the_keys_of_a_core_but_those_named():
    (names,) = re.findall(r"keys of .*? but for (.*?), and each", SWEEPS)
    assert set(CoreConfig.model_fields) - set(Axes.model_fields) == set(
        re.findall(r"`(\w+)`", names)
    )


def test_every_core_and_sweep_to_copy_is_legal(tmp_path):
    kinds = {"kind": load_core, "workload": load_sweep, "technology": load_sweep}
    path, read = tmp_path / "copied.yaml", 0
    for _, text in fenced("yaml"):
        first = next(iter(yaml.safe_load(text)))
        if first in kinds:
            path.write_text(text)
            kinds[first](path)
            read += 1
    assert read >= 5


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: str(value)[-60:])
def test_every_command_to_copy_has_options_that_exist(page, line):
    _, command, *words = shlex.split(line, comments=True)
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0, line
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", done.stdout))
    assert {word for word in words if word.startswith("-")} <= known, f"{page}: {line}"


def test_the_files_that_commands_name_exist():
    named = [word for _, line in commands() for word in shlex.split(line, comments=True)]
    examples = {word for word in named if word.startswith("examples/")}
    assert len(examples) >= 7
    assert [word for word in examples if not (ROOT / word).exists()] == []


@pytest.fixture(scope="module")
def integration():
    """The functions on the page on integration."""
    place: dict = {}
    for page, text in fenced("python"):
        if page.name == "integrate.md":
            exec(text, place)
    return place


@pytest.mark.parametrize("mu", [1, 2, 3, 4])
def test_the_keys_of_the_page_on_integration_are_the_golden_ones(mu, integration):
    manifest = hwgen.Core(kind="lut", mu=mu, tables=1, ports=1).manifest
    for weights in product((-1, 0, 1), repeat=mu):
        golden = keys_from_weights([weights], mu)[0, 0]
        assert integration["key"](weights) == golden
        assert integration["key_by_manifest"](manifest, weights) == golden


def test_the_keys_of_the_page_on_integration_are_those_of_any_codebook(integration):
    core = hwgen.Core(kind="lut", codebook="sherry34", mu=4, tables=1, ports=1)
    legal = [group for group in product((-1, 0, 1), repeat=4) if group.count(0) == 1]
    keys = [integration["key_by_manifest"](core.manifest, group) for group in legal]
    assert keys == keys_from_weights(legal, 4, codebook="sherry34")[:, 0].tolist()
    with pytest.raises(ValueError, match="is not a group of codebook sherry34"):
        integration["key_by_manifest"](core.manifest, (1, 0, 0, 1))


def test_links_between_files_lead_somewhere():
    for page in pages():
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not re.match(r"https?:|#", link):
                assert (page.parent / link.partition("#")[0]).exists(), f"{page}: {link}"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "zensical"
    assert program.exists(), "pip install 'hwgen[test]'"
    command = [program, "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    return tmp_path


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(copy):
    done = build(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.relative_to(copy / "build" / "site") for path in copy.rglob("*.html")}
    there = {path.relative_to(copy / "docs").with_suffix(".html") for path in copy.rglob("*.md")}
    assert there <= made
    settings = (copy / "zensical.toml").read_text(encoding="utf-8")
    assert {page.with_suffix(".md").as_posix() for page in there} == set(
        re.findall(r'"([\w/-]+\.md)"', settings)
    )
    for page in copy.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=\"?(https?:)?//", text)


def test_a_wrong_link_breaks_the_site(copy):
    page = copy / "docs" / "index.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[gone](gone.md)\n", encoding="utf-8")
    assert build(copy).returncode != 0
