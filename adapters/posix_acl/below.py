"""What lies below a folder and does not give what the folder gives: counted, with examples, never listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.posix_acl.acl import ACCESS, DEFAULT, Acl, MalformedAcl, Principal
from adapters.posix_acl.rights import has
from adapters.posix_acl.tree import Item, Trouble, below, list_at, shown
from reconciler.targets import ObservedAccount, TargetFinding

__all__ = ["Below"]

_SHOWN = 3
_REMEMBERED = 10_000
"""How many different lists are remembered: most files of a tree have one of few."""
_EMPTY = Acl(0, 0, 0)


@dataclass(slots=True)
class _Tally:
    """How many there are, and the first few."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(example)

    def __str__(self) -> str:
        return f"{self.count:,} ({', '.join(self.examples)}{', …' if self.count > len(self.examples) else ''})"


@dataclass(slots=True)
class Below:
    """A comparison of everything below a folder with its `members`: who has what of `scope` on it. Of what lies
    `inside` another bound folder only such modes count as come in there.

    `beyond` has the accounts that have more than that somewhere below, and what.
    """

    scope: int
    members: Mapping[Principal, int]
    accounts: Mapping[int, ObservedAccount]
    inside: Mapping[tuple[str, ...], int]
    beyond: dict[Principal, int] = field(default_factory=dict)
    _lacking: _Tally = field(default_factory=_Tally)
    _beyond: _Tally = field(default_factory=_Tally)
    _unread: _Tally = field(default_factory=_Tally)
    _mounts: _Tally = field(default_factory=_Tally)
    _verdicts: dict[tuple[bytes | None, bool, int], tuple[str, str]] = field(default_factory=dict)

    def findings(self, path: str, top: int, *, cross_mounts: bool) -> Iterator[TargetFinding]:
        """Go through everything below the open folder `top`. Raises OSError and `MalformedAcl` for that folder only."""
        # Its own list says who is a member; what it hands on to whatever is made in it may say otherwise.
        self._judge((), [self._verdict(list_at(top, DEFAULT), folder=True, modes=self.scope)])
        for each in below(top, cross_mounts=cross_mounts, inside=self.inside, modes=self.scope):
            if isinstance(each, Trouble):
                (self._mounts if each.error is None else self._unread).add(shown(each.path))
            else:
                self._compare(each)
        yield from self._told(shown(path))

    def _compare(self, item: Item) -> None:
        try:
            verdicts = [self._verdict(list_at(item.place, ACCESS), folder=item.folder, modes=item.modes)]
            if item.folder:
                verdicts.append(self._verdict(list_at(item.place, DEFAULT), folder=True, modes=item.modes))
            self._judge(item.path, verdicts)
        except FileNotFoundError:
            pass  # it vanished meanwhile
        except (OSError, MalformedAcl):
            self._unread.add(shown(item.path))

    def _judge(self, path: tuple[str, ...], verdicts: Sequence[tuple[str, str]]) -> None:
        for tally, names in zip((self._lacking, self._beyond), zip(*verdicts, strict=True), strict=True):
            if name := next(filter(None, names), ""):
                tally.add(f"{name}: {shown(path) or 'the default of the folder itself'}")

    def _verdict(self, octets: bytes | None, *, folder: bool, modes: int) -> tuple[str, str]:
        """Somebody who lacks what the folder gives them, and somebody who has what it does not; blank for nobody."""
        key = octets, folder, modes
        if key not in self._verdicts:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            acl = _EMPTY if octets is None else Acl.decoded(octets)
            due = ((who, held & modes) for who, held in self.members.items() if held & modes)
            lacking = next((who for who, held in due if not has(acl.effective(who), held, folder=folder)), None)
            beyond = {who: extra for who in acl.named if (extra := self._extra(who, acl, modes))}
            for who, extra in beyond.items():
                self.beyond[who] = self.beyond.get(who, 0) | extra
            self._verdicts[key] = self._name(lacking), self._name(next(iter(beyond), None))
        return self._verdicts[key]

    def _extra(self, who: Principal, acl: Acl, modes: int) -> int:
        """A mask that hides it is no matter: the owner of the file can take that away."""
        if who.kind != "user" or who.id not in self.accounts:
            return 0
        return acl.named[who] & modes & ~self.members.get(who, 0)

    def _name(self, who: Principal | None) -> str:
        return self.accounts[who.id].name if who else ""

    def _told(self, path: str) -> Iterator[TargetFinding]:
        if self._lacking.count:
            text = f"below {path}, members lack what the folder gives them on {self._lacking}; the next change mends it"
            yield TargetFinding("lacking-below", path, text)
        if self._beyond.count:
            text = f"below {path}, accounts have access to {self._beyond} that the folder does not give them"
            yield TargetFinding("access-below", path, text)
        if self._unread.count:
            yield TargetFinding("unread-below", path, f"below {path}, this could not be looked at: {self._unread}")
        if self._mounts.count:
            text = f"below {path}, other file systems are mounted and left alone: {self._mounts}"
            yield TargetFinding("mount-below", path, f"{text}; cross_mounts: true includes them")
