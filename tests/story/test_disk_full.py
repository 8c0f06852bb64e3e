"""No room for the record: nothing is done that is not on record, the error says so, and with room it goes on."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.company import LONG, ROOT, Company
from tests.story.crowd import LDIF, approved, crowd, finish, recorded

VAULT = (ROOT / "examples" / "vault.conf").read_text("utf-8")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Copied by the tests, never used itself."""
    folder = tmp_path_factory.mktemp("crowd") / "company" / "here"
    return approved(crowd(folder, LDIF, VAULT))


def apply_with_files_up_to(company: Company, size: int) -> tuple[int, str]:
    """`apply`, in a process that can make no file larger than that: its status, and what it says."""
    done = subprocess.run(
        company.command("apply", "--yes"),
        cwd=company.folder,
        env=company.environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),  # no threads here
        capture_output=True,
        timeout=LONG,
        check=False,
    )
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_wherever_the_room_ends_the_error_is_clear_and_the_next_run_goes_on(template: Company, tmp_path: Path) -> None:
    company = template.copy(tmp_path)
    largest = max(path.stat().st_size for path in company.folder.rglob("*") if path.is_file())
    places = set()
    for more in (40_000, 400_000, 900_000, 1_600_000):
        before = recorded(company, "intended")
        status, said = apply_with_files_up_to(company, largest + more)
        assert "Traceback" not in said, said
        if status == 0:
            break
        assert status == 1, said
        assert "the store" in said, said
        assert "→" in said, said
        places.add(recorded(company, "intended") - before)
    assert len(places) > 1, "the room ended at different moments"

    finish(company)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "t", str(folder)], check=False).returncode
    ):
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_with_room_it_goes_on(template: Company, small_disk: Path) -> None:
    company = template.copy(small_disk)
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(max(0, free - 600_000)))

    told = company.run("apply", "--yes", status=1)
    assert "the disk is full" in told.err
    assert "make room" in told.err

    ballast.unlink()
    finish(company)
