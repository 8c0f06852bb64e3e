"""The example adapter in a separate place, installed into an environment of its own that reaches no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples" / "adapter"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of the folder, and how commands are run there."""

    folder: Path
    environment: Mapping[str, str]


def checked_out(folder: Path) -> Checkout:
    """Copy it, beside a virtual environment that has what this one has, and nothing of the example yet."""
    here = folder / "adapter"
    shutil.copytree(SOURCE, here, ignore=shutil.ignore_patterns("__pycache__", "*.db", ".pytest_cache"))
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    # Its packages are looked for in ours, too: an editable installation there is one here.
    packages = next((venv / "lib").glob("python*/site-packages"))
    ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (packages / "ours.pth").write_text(ours, encoding="utf-8")
    program = venv / "bin" / "reconciler"
    program.write_text(f"#!{venv / 'bin' / 'python'}\nfrom reconciler.cli import main\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    environment = {
        "PATH": os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", os.defpath)]),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Nothing is fetched: what the package needs is there.
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    return Checkout(here, environment)
