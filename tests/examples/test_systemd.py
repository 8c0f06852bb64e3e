"""The systemd units: systemd takes them, they keep the service in, and it works in what they leave it."""

from __future__ import annotations

import configparser
import ctypes
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError
from reconciler.workspace import Workspace
from tests.service import office as offices
from tests.service.conftest import fresh_office, office  # noqa: F401  # fixtures
from tests.service.office import PROGRAM, Office, exited, until

FOLDER = Path(__file__).parents[2] / "examples" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("reconciler-*.*") if path.is_file())
SERVICES = [name for name in UNITS if name.endswith(".service")]
INSTALLED = "/opt/reconciler/bin/reconciler"
WORST = 2.0
"""What `systemd-analyze security` calls exposure, 0 to 10; a service that talks over the network has 1 at the least."""


def needed(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """As they are installed, with a program that is there."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    for name in SERVICES:
        path = folder / name
        path.write_text(path.read_text("utf-8").replace(INSTALLED, str(PROGRAM)), "utf-8")
    return folder


def analysed(units: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "LC_ALL": "C.UTF-8"}
    command = ["systemd-analyze", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_unit_without_a_word(unit: str, units: Path) -> None:
    needed("systemd-analyze")
    done = analysed(units, "verify", "--man=no", str(units / unit))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("posix", [False, True], ids=["", "posix-acl"])
@pytest.mark.parametrize("unit", SERVICES)
def test_what_is_left_open_is_little(unit: str, units: Path, *, posix: bool) -> None:
    needed("systemd-analyze")
    if posix:
        shutil.copy(units / "posix-acl.conf", units / "reconciler-.service.d" / "posix-acl.conf")
    done = analysed(units, "security", "--offline=true", str(units / unit))

    (told,) = re.findall(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert float(told) <= WORST, done.stdout


def test_the_hardening_that_is_promised_is_there() -> None:
    settings = read(FOLDER / "reconciler-.service.d" / "hardening.conf")

    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "MemoryDenyWriteExecute"):
        assert settings[name] == "yes", name
    assert settings["ProtectSystem"] == "strict"
    assert settings["CapabilityBoundingSet"] == ""
    assert settings["StateDirectory"] == "reconciler"
    assert "AF_PACKET" not in settings["RestrictAddressFamilies"]
    for name in SERVICES:
        own = read(FOLDER / name)
        assert own["User"] == "reconciler"
        assert own["ExecStart"].lstrip("-").startswith(INSTALLED)
        assert not {"CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem"} & own.keys(), "one place says it"
    assert set(read(FOLDER / "posix-acl.conf")["AmbientCapabilities"].split()) == {"CAP_FOWNER", "CAP_DAC_READ_SEARCH"}


def read(path: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text("utf-8"))
    return dict(parser["Service"])


def test_the_service_needs_no_system_call_that_the_units_refuse(office: Office, units: Path) -> None:  # noqa: F811
    needed("systemd-analyze")
    needed("strace")
    calls = office.folder / "calls"
    traced = office.folder / "traced"
    traced.write_text(f'#!/bin/sh\nexec strace -D -f -q -o "{calls}" "{PROGRAM}" "$@"\n', "utf-8")
    traced.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offices, "PROGRAM", traced)
        with office.serving() as service:
            service.until_ready()
            assert service.post(exited("E1")).status_code == 202
            until(lambda: not office.anywhere("E1"), "E1 out")
            service.until_ready()
            assert service.end() == 0
    until(lambda: re.search(r"\+\+\+ exited with 0 \+\+\+\s*$", calls.read_text("utf-8", "replace")), "the whole trace")
    used = set(re.findall(r"^\d+ +(\w+)\(", calls.read_text("utf-8", "replace"), re.MULTILINE))

    assert {"openat", "sendto", "fsync"} & used
    allowed = (
        filtered("@system-service") - filtered("@privileged") - filtered("@resources")
        | filtered("@chown")
        | {"setpriority"}
    )
    assert used <= allowed, used - allowed


def filtered(group: str) -> set[str]:
    """The system calls of one of systemd's groups."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    words = [line.strip() for line in done.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in (filtered(word) if word.startswith("@") else {word})}


def test_the_service_needs_no_memory_that_is_written_and_run(office: Office) -> None:  # noqa: F811
    """As `MemoryDenyWriteExecute=` has it; here by the kernel's own switch."""
    set_mdwe, refuse_exec_gain = 65, 1
    probe = subprocess.run(
        ["python3", "-c", f"import ctypes; raise SystemExit(-ctypes.CDLL(None).prctl({set_mdwe}, 1, 0, 0, 0))"],
        check=False,
    )
    if probe.returncode:
        pytest.skip("this kernel has no PR_SET_MDWE")
    confined = office.folder / "confined"
    lines = [
        f"#!{PROGRAM.with_name('python')}",
        "import ctypes, os, sys",
        f"assert ctypes.CDLL(None).prctl({set_mdwe}, {refuse_exec_gain}, 0, 0, 0) == 0",
        f"os.execv({str(PROGRAM)!r}, [{str(PROGRAM)!r}, *sys.argv[1:]])",
    ]
    confined.write_text("\n".join(lines), "utf-8")
    confined.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offices, "PROGRAM", confined)
        with office.serving() as service:
            assert service.post(exited("E1")).status_code == 202
            until(lambda: not office.anywhere("E1"), "E1 out")
            service.until_ready()
            assert service.end() == 0
    assert ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) == 0, "we ourselves are not confined"


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told_when_it_is_ready_and_when_it_stops(
    office: Office,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    abstract: bool,
) -> None:
    path = str(tmp_path_factory.mktemp("n") / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path if abstract else path)
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + path if abstract else path)
        with office.serving() as service:
            assert manager.recv(100) == b"READY=1"
            assert service.end() == 0
            assert manager.recv(100) == b"STOPPING=1"


# --- secrets ----------------------------------------------------------------------------------------------------------

WORKSPACE = """format: reconciler.workspace/1
organization: a
timezone: UTC
policies: p
service: {webhooks: {hr: {secret: "${file:hr-secret}"}}}
"""


def test_a_credential_of_systemd_is_a_secret_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reconciler.yaml").write_text(WORKSPACE, "utf-8")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "hr-secret").write_text("from systemd\n", "utf-8")
    (credentials / "hr-secret").chmod(0o440)  # an access control list for the service's user shows so
    workspace = Workspace.load(tmp_path / "reconciler.yaml")
    with pytest.raises(ReconcilerError):
        workspace.webhook_secrets()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))

    assert workspace.webhook_secrets() == {"hr": ("from systemd",)}

    (tmp_path / "hr-secret").write_text("from the file", "utf-8")
    (tmp_path / "hr-secret").chmod(0o600)
    assert workspace.webhook_secrets() == {"hr": ("from systemd",)}
    (credentials / "hr-secret").unlink()
    assert workspace.webhook_secrets() == {"hr": ("from the file",)}


@pytest.mark.parametrize("mode", [0o444, 0o460, 0o604])
def test_a_credential_that_others_can_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    (tmp_path / "reconciler.yaml").write_text(WORKSPACE, "utf-8")
    (tmp_path / "hr-secret").write_text("a", "utf-8")
    (tmp_path / "hr-secret").chmod(mode)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    with pytest.raises(ReconcilerError, match="others than its owner"):
        Workspace.load(tmp_path / "reconciler.yaml").webhook_secrets()


def test_a_path_is_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reconciler.yaml").write_text(WORKSPACE.replace("hr-secret", "../hr-secret"), "utf-8")
    (tmp_path / "c").mkdir()
    (tmp_path / "hr-secret").write_text("a", "utf-8")
    (tmp_path / "hr-secret").chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "c"))

    with pytest.raises(ReconcilerError, match="cannot be read"):
        Workspace.load(tmp_path / "reconciler.yaml").webhook_secrets()
