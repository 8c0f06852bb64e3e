"""Checkpoints: nobody who can rewrite the whole store can make it fit what was signed before."""

from __future__ import annotations

import json
import secrets
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.facts.checkpoints import Checkpoint, CheckpointRefused, check_all, key_at, made, parsed, public_key
from reconciler.facts.exporting import ExportRefused, export_lines
from reconciler.facts.ledger import Entry, Ledger, LedgerBroken, NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from tests.facts.conftest import NOON, World
from tests.facts.test_ledger import fill

HERE = "星河科技"
KEY = Ed25519PrivateKey.generate()


def attested(world: World) -> Checkpoint:
    return made(HERE, world.facts.ledger.verify(), NOON, KEY)


def copied(folder: Path, entries: Sequence[Entry]) -> Ledger:
    """The same entries in a store of their own: everything anew, the chain and the keys too."""
    ledger = Facts(Store.open(f"sqlite:///{secrets.token_hex(4)}.db", folder=folder)).ledger
    for each in entries:
        with ledger.store.writing() as connection:
            new = NewEntry(each.kind, each.subject, each.actor, each.payload, each.effective_at)
            ledger.append(connection, [new], each.recorded_at)
    return ledger


def test_what_was_attested_and_what_came_after_fit(world: World) -> None:
    fill(world)
    first = attested(world)
    world.say("exited", "E1", "2026-12-01")
    second = attested(world)

    verified, found = check_all(world.facts.ledger, [second, first], HERE, {public_key(KEY)})

    assert [each.seq for each in found] == [first.seq, second.seq]
    assert verified.entries == second.seq
    assert parsed(first.text(), "x") == replace(first, where="x")


CHANGES: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "altered": lambda told: [replace(told[0], actor="somebody else"), *told[1:]],
    "removed": lambda told: [*told[:1], *told[2:]],
    "swapped": lambda told: [told[1], told[0], *told[2:]],
    "cut off": lambda told: told[:-1],
    "cut off and appended": lambda told: [*told[:-1], replace(told[-1], actor="somebody else"), told[0]],
    "made again with other keys": lambda told: told,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_record_that_was_made_again_as_a_whole_does_not_fit(
    world: World, tmp_path: Path, change: Callable[[list[Entry]], list[Entry]]
) -> None:
    """It verifies by itself: whoever made it knows how. Only what was signed before tells."""
    fill(world)
    checkpoint = attested(world)
    other = copied(tmp_path, change(list(world.facts.ledger.entries())))
    other.verify()

    with pytest.raises(LedgerBroken, match=r"was rewritten|was cut off"):
        check_all(other, [checkpoint], HERE, ())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["organization", "seq", "digest", "made_at", "public_key", "signature"]),
    st.integers(0, 1000),
    st.integers(1, 15),
)
def test_no_part_of_a_checkpoint_can_be_altered(field: str, place: int, by: int) -> None:
    checkpoint = Checkpoint(HERE, 812, "ab" * 32, "2026-11-24T04:00:00.000000Z", public_key(KEY), "")
    checkpoint = replace(checkpoint, signature=KEY.sign(checkpoint.signed()).hex())
    document = json.loads(checkpoint.text())
    if field == "seq":
        document[field] += by
    else:
        text = document[field]
        at = place % len(text)
        old = text[at]
        new = f"{(int(old, 16) + by) % 16:x}" if old in "0123456789abcdef" else chr(ord(old) + by)
        document[field] = text[:at] + new + text[at + 1 :]

    with pytest.raises(CheckpointRefused):
        parsed(json.dumps(document), "it")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "reconciler.checkpoint/2"}'])
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRefused, match="is no checkpoint"):
        parsed(text, "it")


def test_another_workspaces_or_a_strangers_is_refused(world: World) -> None:
    fill(world)
    with pytest.raises(CheckpointRefused, match="attests the ledger of"):
        check_all(world.facts.ledger, [attested(world)], "another", ())
    with pytest.raises(CheckpointRefused, match="a key that nobody here knows"):
        check_all(world.facts.ledger, [attested(world)], HERE, {"00" * 32})


def test_an_empty_ledger_is_not_attested(world: World) -> None:
    with pytest.raises(CheckpointRefused, match="the ledger is empty"):
        attested(world)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "key.pem"
    assert key_at(path, make=False) is None
    first, again = key_at(path, make=True), key_at(path, make=True)
    assert first is not None
    assert again is not None
    assert public_key(first) == public_key(again) == (tmp_path / "state" / "key.pem.pub").read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o640)
    with pytest.raises(CheckpointRefused, match="others than its owner"):
        key_at(path, make=True)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(CheckpointRefused, match="holds no Ed25519 key"):
        key_at(path, make=True)


def test_an_export_has_what_is_asked_for_and_no_keys_where_they_are_left_out(world: World) -> None:
    fill(world)
    with world.facts.store.reading() as connection:
        whole = list(export_lines(connection, HERE, [attested(world)], made_at=NOON))
        part = list(export_lines(connection, HERE, [], made_at=NOON, first=2, last=3, keys=False))
        with pytest.raises(ExportRefused):
            list(export_lines(connection, HERE, [], made_at=NOON, first=1000))

    assert json.loads(whole[-2])["checkpoint"]["seq"] == json.loads(whole[-1])["to"] == world.facts.ledger.head()
    assert [json.loads(line)["entry"]["seq"] for line in part[1:-1]] == [2, 3]
