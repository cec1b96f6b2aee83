"""The wheel in every Python that is here, outside the checkout: each command once.

    make pythons

Looks for python3.11 … python3.13 in PATH and in the folders of pyenv, makes an environment for
each, installs the wheel, and runs the commands in an empty folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
CORE = "kind: lut\nact: int8\nmu: 2\ntables: 4\nports: 8\n"
COMMANDS = (
    "hwgen doctor",
    "hwgen estimate core.yaml --tech asap7",
    "hwgen generate core.yaml",
    "hwgen inspect digits",
    "hwgen verify core.yaml --model digits",
    "hwgen simulate bitnet-2b4t core.yaml --tech asap7 --figure cycles.png",
    "hwgen simulate tinylm core.yaml --prompt And --tokens 3 --rtl",
    "hwgen sweep sweep.yaml",
    "hwgen validate asap7",
)


def interpreter(version: str) -> str | None:
    """A Python of that version; None if there is none."""
    found = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    others = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(others[-1]) if others else found


def check(python: str, wheel: Path, folder: Path) -> None:
    """Install the wheel and run the commands; SystemExit at the first that fails."""
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    programs = folder / "venv" / "bin"
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run([*pip, "--disable-pip-version-check"], check=True)
    work = folder / "work"
    shutil.copytree(ROOT / "examples" / "tinylm", work / "tinylm")
    shutil.copy(ROOT / "examples" / "bitnet-2b4t.yaml", work / "sweep.yaml")
    (work / "core.yaml").write_text(CORE)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HWGEN_CACHE": str(folder / "cache"), "HWGEN_DATA": str(folder / "data")}
    for command in COMMANDS:
        words = command.split()
        done = subprocess.run(
            [str(programs / words[0]), *words[1:]],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
        )
        # The doctor also misses programs that are only wanted for more than these commands.
        if done.returncode and words[1] != "doctor":
            sys.exit(f"{python}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        print(f"  {command}")


def main() -> None:
    """All versions that are here; the others are named."""
    with tempfile.TemporaryDirectory() as temporary:
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", temporary]
        subprocess.run([*build, "--disable-pip-version-check", str(ROOT)], check=True)
        (wheel,) = Path(temporary).glob("*.whl")
        for version in VERSIONS:
            python = interpreter(version)
            print(f"Python {version}: {python or 'not here'}", flush=True)
            if python is not None:
                check(python, wheel, Path(temporary) / version)


if __name__ == "__main__":
    main()
