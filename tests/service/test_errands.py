"""What comes by the schedule beside whole passes: feeds, checkpoints, news of the policies; once each, not in haste."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.facts.people import Facts
from reconciler.passes.operators import Actor, NotAllowed
from reconciler.service.aside import Here
from reconciler.service.errands import CHECKPOINT, FETCH, Errands, check_allowed
from reconciler.service.premises import Premises
from reconciler.workspace import Workspace
from tests.audit.repository import ENVIRONMENT, commit, git, repository
from tests.service.office import until

MONDAY = datetime(2026, 11, 23, 2, tzinfo=UTC)
"""10:00 in Shanghai."""

FIVE = datetime(2026, 11, 23, 21, tzinfo=UTC)
"""The next morning there, when the policies are fetched; an import and a checkpoint have their turn as well."""

WORKSPACE = """\
format: reconciler.workspace/1
organization: 一家公司
timezone: Asia/Shanghai
policies: policies
sources:
  hr: {type: csv, path: people.csv, feed: full}
service:
  schedule:
    imports: {hr: "0 * * * *"}
    checkpoint: "30 3 * * *"
    fetch: "0 5 * * *"
  policy_repository: {branch: main}
"""
POLICY = """
attributes: {department: {kind: tree}}
clearances: [public: {}]
guards: {feed: {shrink_percent: 40}}
"""


@dataclass
class Lab:
    """A company in files, with its policies in git, and its errands under a clock that the test moves."""

    folder: Path
    now: datetime = MONDAY
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.there, self.desk = self.folder / "there.git", repository(self.folder / "desk")
        git(self.folder, "init", "-q", "--bare", "-b", "main", str(self.there))
        git(self.desk, "remote", "add", "origin", str(self.there))
        files = {"policies/policy.yaml": POLICY, "reconciler.yaml": WORKSPACE, ".gitignore": "/state\n/people.csv\n"}
        self.push(dict(files))
        git(self.folder, "clone", "-q", str(self.there), "here")
        self.here = self.folder / "here"
        self.staff("E1", "E2", "E3", "E4", "E5")

    def push(self, files: dict[str, str | bytes | None]) -> None:
        commit(self.desk, files)
        git(self.desk, "push", "-q", "origin", "HEAD:main")

    def staff(self, *people: str) -> None:
        rows = "".join(f"{person},人,rd,2020-01-01,active\n" for person in people)
        (self.here / "people.csv").write_text("id,name,department,starts_on,status\n" + rows, "utf-8")

    @property
    def workspace(self) -> Workspace:
        return Workspace.load(self.here / "reconciler.yaml")

    @property
    def facts(self) -> Facts:
        return self.workspace.facts()

    def known(self) -> set[str]:
        return set(self.facts.population().by_id)

    @contextmanager
    def running(self) -> Iterator[Errands]:
        """From the start, with what is done at the start."""
        premises = Premises(self.workspace, self.facts, Actor("serve"), lambda: self.now)
        errands = Errands(
            premises, Here(premises), lambda: self.told.append("record"), lambda: self.told.append("policies")
        )
        errands.start()
        try:
            until(lambda: self.told.count("record") >= 2, "what is done at the start")
            yield errands
        finally:
            errands.stop()
            assert not errands.alive

    def turn(self, errands: Errands, now: datetime, count: int = 1) -> None:
        """So many errands have their turn at that moment."""
        before = self.told.count("record")
        self.now = now
        errands.look()
        until(lambda: self.told.count("record") == before + count, f"{count} errands")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return Lab(tmp_path)


def test_people_come_in_at_the_start_and_by_the_schedule(lab: Lab) -> None:
    with lab.running() as errands:
        assert lab.known() == {"E1", "E2", "E3", "E4", "E5"}
        lab.staff("E1", "E2", "E3", "E4", "E5", "E6")
        lab.turn(errands, MONDAY + timedelta(minutes=59, seconds=59), 0)
        assert "E6" not in lab.known()

        lab.turn(errands, MONDAY + timedelta(hours=1, seconds=1))

        assert "E6" in lab.known()
        assert not errands.attention
    (entry,) = [each for each in lab.facts.ledger.entries(kinds={"hired"}) if each.subject == "E6"]
    assert entry.actor == "serve"


def test_a_feed_that_is_held_changes_nothing_and_waits_for_its_next_turn(lab: Lab) -> None:
    with lab.running() as errands:
        lab.staff("E1")
        lab.turn(errands, MONDAY + timedelta(hours=1, seconds=1))

        (chore,) = errands.attention.values()
        assert chore.code == "feed-held"
        assert "source `hr`" in chore.text
        assert len(lab.known()) == 5
        lab.turn(errands, MONDAY + timedelta(hours=1, minutes=59), 0)  # and not again and again

        lab.staff("E1", "E2", "E3", "E4", "E5")
        lab.turn(errands, MONDAY + timedelta(hours=2, seconds=1))
        assert not errands.attention


def test_exits_that_wait_are_told_with_the_command_that_decides(lab: Lab) -> None:
    with lab.running() as errands:
        lab.staff("E1", "E2", "E3", "E4")
        lab.turn(errands, MONDAY + timedelta(hours=1, seconds=1))

        (chore,) = errands.attention.values()
        assert chore.code == "import-waits"
        assert "1 exits wait" in chore.text
        assert "reconciler people confirm " in chore.text
        assert not list(lab.facts.ledger.entries(kinds={"exited"})), "nobody leaves because a row is missing"


def test_a_source_that_cannot_be_read_is_told_and_the_rest_goes_on(lab: Lab) -> None:
    (lab.here / "people.csv").unlink()
    with lab.running() as errands:
        assert errands.attention["import hr"].code == "source"
        lab.push({"policies/policy.yaml": POLICY + "# more\n"})
        errands.fetch()
        until(lambda: "policies" in lab.told, "the policies taken over")


def test_turns_that_were_missed_are_one(lab: Lab) -> None:
    with lab.running() as errands:
        lab.turn(errands, MONDAY + timedelta(hours=9, seconds=1))
        lab.turn(errands, MONDAY + timedelta(hours=10, seconds=1))


def test_the_record_is_attested_by_the_schedule(lab: Lab) -> None:
    with lab.running() as errands:
        assert not lab.workspace.repository().anchored()
        night = datetime(2026, 11, 23, 19, 30, 1, tzinfo=UTC)
        lab.turn(errands, night, 2)
        ((name, _),) = lab.workspace.repository().anchored()

        lab.turn(errands, night + timedelta(days=1), 3)

        assert CHECKPOINT not in errands.attention
        assert [each for each, _ in lab.workspace.repository().anchored()] == [name], "nothing is new"


def test_policies_are_fetched_at_the_start_by_the_schedule_and_when_it_is_said(lab: Lab) -> None:
    lab.push({"policies/policy.yaml": POLICY + "# one\n"})
    tree = lab.here / "policies" / "policy.yaml"
    with lab.running() as errands:
        assert tree.read_text("utf-8").endswith("# one\n")
        assert "policies" in lab.told
        lab.push({"policies/policy.yaml": POLICY + "# two\n"})
        lab.turn(errands, FIVE, 3)
        assert tree.read_text("utf-8").endswith("# two\n")

        lab.push({"policies/policy.yaml": POLICY + "# three\n"})
        errands.fetch()
        until(lambda: tree.read_text("utf-8").endswith("# three\n"), "three")
        assert not errands.attention


def test_policies_that_are_not_taken_over_are_told_until_they_are(lab: Lab) -> None:
    with lab.running() as errands:
        (lab.here / "policies" / "policy.yaml").write_text(POLICY + "# by hand\n", "utf-8")
        lab.push({"policies/policy.yaml": POLICY + "# pushed\n"})
        lab.turn(errands, FIVE, 3)
        assert errands.attention[FETCH].code == "policy-repository"
        assert "nobody has committed" in errands.attention[FETCH].text

        git(lab.here, "checkout", "-q", "--", "policies")
        lab.turn(errands, FIVE + timedelta(days=1), 3)
        assert not errands.attention


def test_another_service_on_the_store_takes_a_turn_of_its_feeds_for_all(lab: Lab) -> None:
    with lab.running() as errands:
        lab.staff("E1", "E2", "E3", "E4", "E5", "E6")
        held = "errand-" + hashlib.sha256(b"import hr").hexdigest()[:16]
        with lab.facts.store.lease(held) as ours:
            assert ours
            lab.turn(errands, FIVE, 2)  # the import is the other's, the policies are everybody's own
            assert "E6" not in lab.known()


@pytest.mark.parametrize(
    ("schedule", "act"), [("imports: {hr: '0 * * * *'}", "record"), ("checkpoint: '0 3 * * *'", "administer")]
)
def test_whoever_starts_it_may_do_what_is_scheduled_or_it_does_not_start(lab: Lab, schedule: str, act: str) -> None:
    text = WORKSPACE.partition("service:")[0] + f"operators: operators.csv\nservice:\n  schedule:\n    {schedule}\n"
    (lab.here / "reconciler.yaml").write_text(text, "utf-8")
    (lab.here / "operators.csv").write_text("p, serve, apply, *\n", "utf-8")
    with pytest.raises(NotAllowed, match=act):
        check_allowed(lab.workspace, Actor("serve"))

    (lab.here / "operators.csv").write_text(f"p, serve, {act}, *\n", "utf-8")
    check_allowed(lab.workspace, Actor("serve"))
