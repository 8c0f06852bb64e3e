"""What the README does by hand with the service: each line of it, in one shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.servers.slapd import free_port

ROOT = Path(__file__).parents[2]
LONG = 120.0


def script(port: int) -> str:
    """The section's blocks, on another port and with the environment that the tests run in."""
    page = (ROOT / "README.md").read_text("utf-8")
    section = page[page.index("\n## HR tells, access follows") :]
    section = section[: section.index("\n## ", 1)]
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)).replace("8470", str(port))
    text = text.replace("\nreconciler plan\n", "\nuntil reconciler plan --detailed-exitcode; do :; done\n")
    move = f"sed -i s/8470/{port}/ reconciler.yaml"
    return text.replace("reconciler serve", f"{move}\nreconciler serve").replace(". .venv/bin/activate\n", "", 1)


def test_the_readme_works_by_hand(tmp_path: Path) -> None:
    for name in ("examples", "policies"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    done = subprocess.run(
        ["/bin/bash", "-euc", script(free_port()) + "\nwait $!"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "LANG": "C.UTF-8", "PATH": path},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"ready":true' in done.stdout
    assert '"outcome":"recorded"' in done.stdout
    assert "Plan: in sync" in done.stdout
    assert "may not read chip-designs" in done.stdout
