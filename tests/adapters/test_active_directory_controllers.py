"""Which domain controller is asked, and that what was read from one is never written to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.active_directory import ActiveDirectoryTarget
from reconciler.targets import OutcomeKind, TargetError, TargetUnavailable
from reconciler.testing.targets import APPLIED, GROUPS, PEOPLE, entitlement, grant, revoke
from tests.adapters.directory_lab import context
from tests.adapters.domain_lab import DomainLab, settings_of
from tests.servers.fixtures import samba_seed  # noqa: F401
from tests.servers.samba import LABS, Samba, started

UNAVAILABLE = OutcomeKind.UNAVAILABLE
DOCS = {"group": "docs-readers"}
NOBODY = "ldaps://127.0.0.1:1"


class Pair:
    """Two controllers of one domain, with the same lab, between which nothing is replicated."""

    def __init__(self, first: Samba, second: Samba, lab: DomainLab) -> None:
        self.first = first
        self.second = second
        self.lab = lab
        (authorities := first.folder / "both.pem").write_bytes(first.ca.read_bytes() + second.ca.read_bytes())
        self.settings = {**settings_of(first, lab.unit), "ca": str(authorities)}

    def target(self, *urls: str) -> ActiveDirectoryTarget:
        return ActiveDirectoryTarget(context(Path()), {**self.settings, "url": list(urls)})

    def count(self, server: Samba) -> int:
        """How many members the group has on this controller."""
        [attributes] = server.search(LABS, "(cn=docs-readers)", "member").values()
        return len(attributes.get("member", []))


@pytest.fixture
def pair(samba_seed: Path, tmp_path: Path) -> Iterator[Pair]:  # noqa: F811
    with started(samba_seed, tmp_path / "first") as first:
        lab = DomainLab(first, PEOPLE, GROUPS)
        first.terminate()
        with (
            started(tmp_path / "first", tmp_path / "second") as second,
            started(first.folder, first.folder, first.address) as again,
        ):
            lab.server = again
            yield Pair(again, second, lab)


def test_the_first_controller_that_answers_is_read(pair: Pair) -> None:
    pair.lab.put("docs-readers", "plain")
    first, second = pair.first.tls_url, pair.second.tls_url

    counts = [
        len(entitlement(pair.target(*urls).observe([DOCS])).members)
        for urls in ((first, second), (second, first), (NOBODY, second), (NOBODY, first))
    ]

    assert counts == [3, 2, 2, 3]


def test_where_no_controller_answers_all_are_named(pair: Pair) -> None:
    with pytest.raises(TargetUnavailable, match=rf"{NOBODY}.*does not answer.*; ldaps://127\.0\.0\.1:2") as caught:
        pair.target(NOBODY, "ldaps://127.0.0.1:2").observe([DOCS])
    assert "firewall" in caught.value.remedy


def test_a_controller_that_answers_and_cannot_be_used_is_not_passed_over(pair: Pair) -> None:
    """It is the settings that are wrong then, and hiding it would leave one controller unguarded."""
    settings = {**pair.settings, "ca": str(pair.second.ca), "url": [pair.first.tls_url, pair.second.tls_url]}

    with pytest.raises(TargetError, match="not to be trusted"):
        ActiveDirectoryTarget(context(Path()), settings).observe([DOCS])


def test_what_was_read_is_written_and_read_back_on_the_same_controller(pair: Pair) -> None:
    target = pair.target(NOBODY, pair.second.tls_url, pair.first.tls_url)
    step = grant(pair.lab, "docs-readers", "plain")
    target.observe([DOCS])

    with target.writer() as writer:
        assert [each.kind for each in writer.apply([step])] == [APPLIED]

    assert len(entitlement(target.observe([DOCS], [step.account])).members) == 1
    assert (pair.count(pair.first), pair.count(pair.second)) == (2, 3)


def test_a_controller_that_falls_silent_is_not_replaced_by_one_that_may_lag(pair: Pair) -> None:
    target = pair.target(pair.first.tls_url, pair.second.tls_url)
    step = revoke(pair.lab, "docs-readers", "smith")
    target.observe([DOCS])
    with target.writer() as writer:
        pair.first.terminate()
        [outcome] = writer.apply([step])

    assert outcome.kind is UNAVAILABLE
    for accounts in (None, [step.account]):
        with pytest.raises(TargetUnavailable, match="no other is asked"):
            target.observe([DOCS], accounts)
    with pytest.raises(TargetUnavailable, match="no other is asked"), target.writer():
        pass
    with pytest.raises(TargetUnavailable, match="no other is asked"):
        target.keys_matching({"id": "E1002"})
    assert pair.count(pair.second) == 2

    anew = pair.target(pair.first.tls_url, pair.second.tls_url)
    assert len(entitlement(anew.observe([DOCS])).members) == 2


def test_another_controller_under_the_same_name_is_told_apart(pair: Pair) -> None:
    """A name can stand for several: each connection may reach another of them."""
    target = pair.target(pair.first.tls_url)
    step = revoke(pair.lab, "docs-readers", "smith")
    target.observe([DOCS])

    with target.writer() as writer:
        pair.first.terminate()
        pair.first.rename_controller("OTHER")
        with started(pair.first.folder, pair.first.folder, pair.first.address) as other:
            lost, outcome = (writer.apply([step])[0] for _ in range(2))
            with pytest.raises(TargetUnavailable, match="is another domain controller than before"):
                target.observe([DOCS])
            assert pair.count(other) == 2

            assert (lost.kind, outcome.kind) == (UNAVAILABLE, UNAVAILABLE)
            assert "is another domain controller than before" in outcome.detail
            assert len(entitlement(pair.target(other.tls_url).observe([DOCS])).members) == 2
