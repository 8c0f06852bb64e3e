"""Acknowledgements: who says to have carried out which order, when, and by what proof; and what is wrong with them.

An acknowledgement is the order's own form, filled in, or a JSON file with the same four fields. One that is wrong
counts for nothing: its order stays open, and a finding says what to do.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from adapters.work_order.form import filled_in, one_line
from adapters.work_order.order import Order
from reconciler.targets import TargetFinding

__all__ = ["Acknowledged", "Rules", "judged"]

MOST_BYTES = 65_536
"""A form is small; what is larger is none."""
_FIELDS = ("order", "done_by", "done_at", "proof")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An order that was carried out. `proof` is a ticket, or a file's name and digest."""

    order: Order
    done_by: str
    done_at: datetime
    proof: str

    @property
    def words(self) -> str:
        """For the record."""
        when = self.done_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
        proof = f", proof: {one_line(self.proof)}" if self.proof else ""
        return f"{self.order.number} was carried out by {one_line(self.done_by)} at {when}{proof}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What an acknowledgement has to keep: whether it needs a proof, who may give it (None: anybody but the person
    concerned), and where times without an offset are meant. `names` is account → what else the person is called.
    """

    proof_required: bool
    people: Collection[str] | None
    zone: ZoneInfo
    names: Mapping[str, str]
    now: datetime


class _Wrong(ValueError):
    """What is wrong with an acknowledgement, and what to do."""


def judged(
    paths: Sequence[Path], orders: Mapping[str, Order], rules: Rules
) -> tuple[Sequence[Acknowledged], Sequence[TargetFinding]]:
    """The acknowledgements in these files that count, and a finding for each of the others."""
    files = {path.name: path for path in paths}
    said: dict[str, list[tuple[str, Acknowledged]]] = defaultdict(list)
    findings = []
    for path in _statements(paths):
        try:
            one = _judged(path, files, orders, rules)
            said[one.order.number].append((path.name, one))
        except _Wrong as wrong:
            findings.append(_finding(path.name, str(wrong)))
    findings += [
        _finding(
            name, f"{number} is acknowledged differently by {', '.join(name for name, _ in own)}: keep one of them"
        )
        for number, own in said.items()
        if len({one for _, one in own}) > 1
        for name, _ in own
    ]
    return [own[0][1] for own in said.values() if len({one for _, one in own}) == 1], findings


def _finding(name: str, text: str) -> TargetFinding:
    return TargetFinding("bad-acknowledgement", name, f"it does not count: {text}")


def _statements(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that say something of an order; the others are proofs."""
    for path in paths:
        if path.suffix.lower() == ".json" or (path.suffix.lower() == ".txt" and path.name.upper().startswith("WO-")):
            yield path


def _judged(path: Path, files: Mapping[str, Path], orders: Mapping[str, Order], rules: Rules) -> Acknowledged:
    fields = _fields(path)
    order = orders.get(fields.get("order", "").upper())
    if order is None:
        text = one_line(fields["order"]) if fields.get("order") else ""
        what = f"there is no order {text} here" if text else "it names no order"
        raise _Wrong(f"{what}: write the number of the order that was carried out, or take the file away")
    who = fields.get("done_by", "")
    if not who:
        raise _Wrong(f"it does not say who carried out {order.number}: fill in `done by`")
    own = {order.account.casefold(), rules.names.get(order.account, "").casefold()}
    if who.casefold() in own:
        raise _Wrong(
            f"{order.number} is about {one_line(who)}, who cannot be the one to confirm it: somebody else has to"
        )
    if rules.people is not None and who not in rules.people:
        raise _Wrong(f"{one_line(who)} may not acknowledge orders here: somebody of {', '.join(rules.people)} has to")
    at = _done_at(fields.get("done_at", ""), order, rules)
    return Acknowledged(order, who, at, _proof(fields.get("proof", ""), order, files, rules))


def _fields(path: Path) -> Mapping[str, str]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _Wrong(f"it cannot be read ({error.strerror}): give this user the right to") from None
    text = None if len(data) > MOST_BYTES else _decoded(data)
    if text is None:
        raise _Wrong("it is no filled-in form: save it as text in UTF-8")
    if path.suffix.lower() != ".json":
        return filled_in(text)
    try:
        said = json.loads(text)
        if not isinstance(said, dict) or not all(isinstance(said.get(name, ""), str) for name in _FIELDS):
            raise ValueError
    except (ValueError, RecursionError):
        raise _Wrong(f"it is no JSON object with the texts {', '.join(_FIELDS)}: correct it") from None
    return {name: said[name].strip() for name in _FIELDS if name in said}


def _decoded(data: bytes) -> str | None:
    # What editors on Windows write, too.
    encodings = ["utf-16"] if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return data.decode(encoding).replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue
    return None


def _done_at(text: str, order: Order, rules: Rules) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=rules.zone)
    except ValueError:
        raise _Wrong(
            f"it does not say when {order.number} was carried out: write `done at` as 2026-01-31 14:30"
        ) from None
    if at > rules.now:
        raise _Wrong(f"{order.number} is said to be carried out in the future: correct `done at`")
    if at + timedelta(minutes=1) <= order.ordered_at:
        raise _Wrong(f"{order.number} is said to be carried out before it was ordered: correct `done at`")
    # It is written down by the minute, and comes after the order whatever the seconds were.
    return max(at.astimezone(UTC), order.ordered_at)


def _proof(text: str, order: Order, files: Mapping[str, Path], rules: Rules) -> str:
    if not text and rules.proof_required:
        raise _Wrong(
            f"{order.number} needs a proof: write a ticket number, or the name of a file that you put beside it"
        )
    if text not in files:
        return text
    try:
        with files[text].open("rb") as file:
            return f"{text} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise _Wrong(f"the proof {one_line(text)} cannot be read ({error.strerror})") from None
