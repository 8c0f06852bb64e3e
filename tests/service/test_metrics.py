"""The numbers that monitoring reads: those of a leaver's removal are the ledger's own, whoever did the work."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from reconciler.apply.intents import spelled_out
from reconciler.facts.ledger import Entry
from reconciler.passes.counted import Counted
from reconciler.passes.tally import BUCKETS, Tally
from reconciler.workspace import Workspace
from tests.service.conftest import PEOPLE
from tests.service.office import PATIENCE, Office, exited, until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Name and labels → value, as Prometheus' own parser reads them."""
    families = plain(text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def scraped(url: str, **how: Any) -> Samples:
    answer = requests.get(f"{url}/metrics", timeout=PATIENCE, **how)
    assert answer.status_code == 200, answer.text
    return read(answer.text)


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def entries_of(office: Office) -> list[Entry]:
    return list(office.workspace().facts().ledger.entries())


def outcomes_on_record(entries: list[Entry]) -> Counter[tuple[str, str, str, bool]]:
    """Target, operation, outcome and lane, read from the ledger by another way than the program's own counting."""
    changes = {
        (entry.payload["run"], change["id"]): change
        for entry in entries
        if entry.kind == "intended"
        for change in spelled_out(entry.payload)
    }
    batches: dict[int, list[str]] = {
        entry.seq: [each["id"] for each in spelled_out(entry.payload)] for entry in entries if entry.kind == "intended"
    }
    found: Counter[tuple[str, str, str, bool]] = Counter()
    for entry in entries:
        said: Any = entry.payload
        if entry.kind == "effect":
            found[said["target"], said["op"], said["outcome"], said["leaver"]] += 1
        elif entry.kind == "effects":
            ids = said.get("changes") or sorted(set(batches[said["intended"]]) - set(said["but"]))
            for each in ids:
                found[said["target"], said["op"], said["outcome"], changes[said["run"], each]["leaver"]] += 1
    return found


def test_the_numbers_of_a_leavers_removal_are_what_the_ledger_says(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        before = scraped(service.url)
        assert service.post(exited("E1")).status_code == 202
        until(lambda: not office.anywhere("E1"), "E1 out")
        service.until_ready()
        after = scraped(service.url)
    entries = entries_of(office)
    (exit_,) = [entry for entry in entries if entry.kind == "exited"]
    done = [entry for entry in entries if entry.kind in ("effect", "effects") and entry.seq > exit_.seq]

    removed = {"target": "dir", "op": "revoke", "outcome": "applied", "lane": "leaver"}
    assert value(after, "reconciler_changes_total", **removed) == 2
    assert ("reconciler_changes_total", frozenset(removed.items())) not in before
    delay = (done[-1].recorded_at - exit_.recorded_at).total_seconds()
    own = {"target": "dir", "lane": "leaver"}
    assert value(after, "reconciler_convergence_delay_seconds_count", **own) == 1
    assert value(after, "reconciler_convergence_delay_seconds_sum", **own) == pytest.approx(delay, abs=1e-6)
    for bound in BUCKETS:
        label = str(bound)
        assert value(after, "reconciler_convergence_delay_seconds_bucket", le=label, **own) == (delay <= bound), bound
    assert value(after, "reconciler_ledger_head_entry") == len(entries)
    assert value(after, "reconciler_ledger_counted_entry") == len(entries)
    assert value(after, "reconciler_due_people", lane="leaver") == 0
    kinds = {
        dict(labels)["kind"]: n for (name, labels), n in after.items() if name == "reconciler_ledger_entries_total"
    }
    assert kinds == Counter(entry.kind for entry in entries)
    counted = Counter[tuple[str, str, str, bool]]()
    for (name, labels), number in after.items():
        if name == "reconciler_changes_total":
            said = dict(labels)
            counted[said["target"], said["op"], said["outcome"], said["lane"] == "leaver"] += int(number)
    assert counted == outcomes_on_record(entries)


def test_another_process_and_the_next_one_tell_the_same_of_the_record(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        assert service.post([exited("E1"), exited("E2")]).status_code == 202
        until(lambda: not office.anywhere("E1") and not office.anywhere("E2"), "both out")
        service.until_ready()
        first = scraped(service.url)
    with office.serving() as service:
        service.until_ready()
        second = scraped(service.url)

    told = ("reconciler_changes", "reconciler_convergence")  # it makes a pass at its start, which is recorded too
    assert {k: v for k, v in first.items() if k[0].startswith(told)} == {
        k: v for k, v in second.items() if k[0].startswith(told)
    }
    assert value(second, "reconciler_convergence_delay_seconds_count", target="dir", lane="leaver") == 2


def test_counting_in_pieces_and_from_what_was_kept_comes_to_the_same(office: Office, monkeypatch: Any) -> None:
    office.tell(exited("E1"))
    office.command("apply", "--yes")
    store = office.workspace().facts().store
    with Counted(store).up_to_date() as whole:
        text = whole.text()
    monkeypatch.setattr("reconciler.passes.counted.STEP", 1)
    monkeypatch.setattr("reconciler.passes.counted.KEEP_EVERY", 1)
    monkeypatch.setattr("reconciler.passes.counted.BUDGET", 0.0)

    head, steps = office.workspace().facts().ledger.head(), 0
    while True:  # each time as a new process, which takes up what the last one kept
        with Counted(store).up_to_date() as tally:
            steps += 1
            if tally.entry == head:
                break

    assert steps == head
    assert tally.text() == text
    again = Tally.read(text)
    assert again is not None
    assert again.text() == text


def test_a_fact_is_not_done_while_something_of_it_is_left(office: Office) -> None:
    """The directory is away when E1 leaves: the delay is counted once, and to the end."""
    with office.serving() as service:
        service.until_ready()
        office.slapd.process.kill()
        office.slapd.process.wait()
        assert service.post(exited("E1")).status_code == 202
        until(lambda: value(scraped(service.url), "reconciler_due_people", lane="leaver") == 1, "E1 due")
        until(
            lambda: value(scraped(service.url), "reconciler_target_failures_total", target="dir") >= 1,
            "a failure that shows",
        )
        said = scraped(service.url)
        told = office.workspace().facts().ledger.entries(kinds={"exited"})
        (recorded,) = [entry.recorded_at.timestamp() for entry in told]
        assert value(said, "reconciler_oldest_due_leaver_timestamp_seconds") == pytest.approx(recorded, abs=1e-3)
        assert (
            "reconciler_convergence_delay_seconds_count",
            frozenset({("target", "dir"), ("lane", "leaver")}),
        ) not in said


def test_whoever_asks_for_openmetrics_gets_it_and_no_header_breaks_it(office_serving: tuple[Office, str]) -> None:
    _, url = office_serving
    asked = "application/openmetrics-text; version=1.0.0; charset=utf-8, text/plain; version=0.0.4; q=0.5"

    answer = requests.get(f"{url}/metrics", headers={"accept": asked}, timeout=PATIENCE)

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    names = {family.name for family in openmetrics(answer.text)}  # type: ignore[no-untyped-call]
    assert names >= {"reconciler_changes", "reconciler_build"}
    for hostile in ("text/plain; version=x", "application/openmetrics-text; version=9.x; escaping=\x7f", ",;,", "*/*"):
        assert requests.get(f"{url}/metrics", headers={"accept": hostile}, timeout=PATIENCE).status_code == 200


def test_names_follow_the_conventions_and_labels_name_nobody(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        service.post(
            [exited("E1"), {"id": "x", "type": "exited", "person": "nobody-knows", "effective_at": "2026-01-01"}]
        )
        until(lambda: not office.anywhere("E1"), "E1 out")
        for strange in ("/v1/E1", "/E2?person=E3", "/%E7%8E%8B"):
            requests.get(service.url + strange, timeout=PATIENCE)
        requests.request("GREET", service.url + "/metrics", timeout=PATIENCE)
        text = requests.get(f"{service.url}/metrics", timeout=PATIENCE).text
    for family in plain(text):
        assert family.documentation, family.name
        own = {"reconciler_", "process_"}
        assert any(family.name.startswith(prefix) for prefix in own), family.name
        if family.type == "counter":
            assert all(each.name.endswith("_total") for each in family.samples), family.name
        for sample in family.samples:
            for name, label in sample.labels.items():
                assert not set(PEOPLE) & {label}, (sample.name, name, label)
                assert "nobody-knows" not in label
                assert "GREET" not in label
    assert {each.labels["route"] for f in plain(text) for each in f.samples if "route" in each.labels} <= {
        "", "/v1/events", "/readyz", "/healthz", "/metrics",
    }  # fmt: skip


def test_what_is_held_and_found_shows_by_its_kind_alone(office: Office) -> None:
    tree = office.folder / "policies" / "policy.yaml"
    tree.write_text(tree.read_text("utf-8").replace("match: {department: rd/ai}", "match: {department: rd/x}"))
    with office.serving() as service:
        service.until_ready()
        said = scraped(service.url)
        assert value(said, "reconciler_held_changes", target="dir", direction="revoke", **{"class": "core"}) == len(
            PEOPLE
        )
        assert value(said, "reconciler_policies_pass") == 1
        tree.write_text(tree.read_text("utf-8") + "rolls: {}\n", "utf-8")
        assert value(scraped(service.url), "reconciler_policies_pass") == 0
        assert value(scraped(service.url), "reconciler_loop_up") == 1


def test_the_newest_checkpoint_shows(office: Office) -> None:
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        office.run_git(*words)
    with office.serving() as service:
        service.until_ready()
        assert value(scraped(service.url), "reconciler_checkpoint_timestamp_seconds") == 0
    anchored = office.command("ledger", "anchor")
    assert anchored.returncode == 0, anchored.stderr
    with office.serving() as service:
        said = scraped(service.url)
        age = datetime.now(UTC).timestamp() - value(said, "reconciler_checkpoint_timestamp_seconds")
        assert 0 <= age < timedelta(hours=1).total_seconds()
        assert 0 < value(said, "reconciler_checkpoint_entry") <= value(said, "reconciler_ledger_head_entry")


# --- who may read it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "guarded"),
    [
        ("", False),
        ('  listen: "[::1]:8470"\n', False),
        ("  behind_proxy: true\n", True),
        ('  listen: "0.0.0.0:8470"\n  behind_proxy: true\n', True),
        ('  listen: "0.0.0.0:8470"\n  behind_proxy: true\n  metrics: open\n', False),
        ("  metrics: token\n", True),
    ],
)
def test_it_is_open_on_this_machine_alone_unless_told_otherwise(tmp_path: Any, section: str, guarded: bool) -> None:
    head = "format: reconciler.workspace/1\norganization: a\ntimezone: UTC\npolicies: p\nservice:\n  webhooks: {}\n"
    (tmp_path / "reconciler.yaml").write_text(head + section, "utf-8")

    assert Workspace.load(tmp_path / "reconciler.yaml").spec.service.metrics_guarded is guarded


def test_elsewhere_it_takes_a_token_that_may_read_metrics(office: Office) -> None:
    office.edit("service:\n", "operators: operators.csv\nservice:\n  metrics: token\n")
    lines = "p, root, *, *\np, prometheus, read, metrics\np, nosy, record, *\n"
    (office.folder / "operators.csv").write_text(lines + f"p, {office.workspace().actor().name}, *, *\n", "utf-8")

    def token(owner: str, act: str) -> dict[str, str]:
        made = office.command("token", "create", "--owner", owner, "--act", act, "--until", "2099-01-01")
        assert made.returncode == 0, made.stderr
        return {"authorization": f"Bearer {made.stdout.split()[0]}"}

    good, narrow, other = token("prometheus", "read"), token("prometheus", "plan"), token("nosy", "read")
    with office.serving() as service:

        def status(headers: dict[str, str]) -> int:
            return requests.get(f"{service.url}/metrics", headers=headers, timeout=PATIENCE).status_code

        assert status({}) == 401
        assert status({"authorization": "Bearer rec_no"}) == 401
        assert status(narrow) == 403
        assert status(other) == 403
        assert status(good) == 200
        assert value(scraped(service.url, headers=good), "reconciler_store_up") == 1
