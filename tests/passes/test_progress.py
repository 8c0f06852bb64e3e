"""What somebody sees while a long pass goes on: what was read, and how far the carrying out has come."""

from __future__ import annotations

from pathlib import Path

from tests.passes.company import Faulty, settled_company


def test_people_and_every_target_are_counted_as_they_are_read(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    said: list[str] = []
    company.look(progress=said.append)

    assert said[0] == "reading the facts"
    assert said[1] == "6 people; reading dir, vault"
    assert "dir: 6 accounts and 2 entitlements read" in said
    assert said[-1] == "comparing"


def test_what_is_carried_out_is_counted_with_what_failed_and_what_is_held(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6)
    company.tell("exited", "E1", "2026-11-20")
    company.add_policy('guards: {protected: ["E2"]}\n')
    company.tell("exited", "E2", "2026-11-20")
    said: list[tuple[str, int, int]] = []
    company.apply(faults={"dir": Faulty(refuses={"u1"})}, progress=lambda *told: said.append(told))

    carried = [each for each in said if each[2]]
    assert [(done, every) for _, done, every in carried] == [(1, 2), (2, 2)]
    assert carried[-1][0] == "carrying out, 2 held, 2 failed"
    assert len(accounts) == 6
