"""A target that is down for an hour, under clocks that the test moves: the others go on, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.service import backoff
from reconciler.service.backoff import LONGEST
from reconciler.service.loop import Loop
from tests.passes.company import MODEL
from tests.servers.slapd import Slapd, required, started
from tests.service.conftest import PEOPLE
from tests.service.office import Office, directory, exited, until
from tests.service.test_loop import MONDAY, Clock, made
from tests.service.test_waiting import Seconds

VAULT = "  vault: {type: casbin, model: vault.conf, policy: vault.csv}\nservice:\n"
BOTH = "{dir: {group: docs}, vault: {role: docs-reader}}"


@dataclass
class Outage:
    """A company with a directory that can be switched off, and a vault beside it."""

    folder: Path
    clock: Clock
    seconds: Seconds
    office: Office = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "directory.ldif").write_text(directory(len(PEOPLE)), "utf-8")
        self._server = ExitStack()
        slapd = self.up(0)
        (self.folder / "office").mkdir()
        self.office = Office.made(self.folder / "office", slapd)
        self.office.clock = self.clock
        self._with_a_vault()
        self.office.hire(PEOPLE, "2026-06-01")
        self.office.settle()

    def _with_a_vault(self) -> None:
        own = self.office.folder
        for name, before, after in (
            ("reconciler.yaml", "service:\n", VAULT),
            ("policies/policy.yaml", "{dir: {group: docs}}", BOTH),
        ):
            text = (own / name).read_text("utf-8")
            assert before in text
            (own / name).write_text(text.replace(before, after), "utf-8")
        (own / "vault.conf").write_text(MODEL, "utf-8")
        (own / "vault.csv").write_text("p, docs-reader, docs, read\n", "utf-8")

    def up(self, port: int) -> Slapd:
        """The directory answers."""
        return self._server.enter_context(
            started(self.folder / "slapd", ldif=self.folder / "directory.ldif", port=port)
        )

    def down(self) -> None:
        """It does not."""
        self._server.close()

    def in_the_vault(self) -> set[str]:
        lines = (self.office.folder / "vault.csv").read_text("utf-8").splitlines()
        cells = [[cell.strip() for cell in line.split(",")] for line in lines]
        return {each[1] for each in cells if each[0] == "g" and each[2] == "docs-reader"}

    def forward(self, loop: Loop, seconds: float) -> None:
        """So much time goes by, on every clock."""
        self.seconds.now += seconds
        self.clock.now += timedelta(seconds=seconds)
        loop.news()


@pytest.fixture
def outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    required()
    seconds = Seconds()
    monkeypatch.setattr(backoff, "time", seconds)
    lab = Outage(tmp_path, Clock(MONDAY), seconds)
    try:
        yield lab
    finally:
        lab.down()


@contextmanager
def looping(office: Office) -> Iterator[Loop]:
    loop = made(office)
    loop.take_up()
    loop.start()
    try:
        until(lambda: loop.state().due == 0 and loop.state().last_pass, "the first pass")
        yield loop
        assert not loop.state().dead
    finally:
        assert loop.stop()


def test_a1_leavers_go_out_of_the_rest_while_a_target_is_down_for_an_hour_and_of_that_once_it_is_back(
    outage: Outage,
) -> None:
    office = outage.office
    assert outage.in_the_vault() == office.members("docs") == set(PEOPLE)
    with looping(office) as loop:
        outage.down()
        office.tell(exited("E1", at=MONDAY))
        loop.news()
        until(lambda: outage.in_the_vault() == set(PEOPLE) - {"E1"}, "E1 out of the vault")
        until(lambda: loop.state().failed == 1, "that it did not go well everywhere is said")

        for _ in range(8):
            outage.forward(loop, LONGEST)
        outage.forward(loop, 3600)
        office.tell(exited("E2", at=outage.clock.now))
        loop.news()
        until(lambda: outage.in_the_vault() == set(PEOPLE) - {"E1", "E2"}, "E2 out of the vault, an hour later")
        assert loop.state().due >= 2, "nobody is forgotten"

        office.slapd = outage.up(office.slapd.port)
        assert office.members("docs") == set(PEOPLE)

        def back_in_order() -> bool:
            outage.forward(loop, LONGEST)
            return office.members("docs") == set(PEOPLE) - {"E1", "E2"} and loop.state().due == 0

        until(back_in_order, "both out of the directory, too")
        assert not loop.state().trouble
        assert outage.in_the_vault() == office.members("docs")
