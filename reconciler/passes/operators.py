"""Who may do what with the reconciler itself: a casbin policy of the workspace, asked before a command acts.

Without one, whoever can use the workspace's files may do everything: the operating system decides. With one, an actor
(a login name, or the owner of a token) needs a line that allows it, and a token is good for its own acts at most.

The policy is a CSV file in casbin's own format: ``p, ROLE or ACTOR, ACT, OBJECT`` and ``g, ACTOR, ROLE``. The object is
``*``, a class for `approve`, a target for `plan` and `apply`, a person's id for `read`, `record` and `revoke`; ``*`` at
its end stands for anything.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import casbin
from casbin.persist.adapters import StringAdapter

from reconciler.errors import Place, Problem, ProblemsFound, ReconcilerError
from reconciler.passes.tokens import Act

_MODEL = """
[request_definition]
r = sub, act, obj
[policy_definition]
p = sub, act, obj
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && (p.act == "*" || r.act == p.act) && keyMatch(r.obj, p.obj)
"""

MOST_REMEMBERED = 10_000
"""So many decisions are remembered: reading ten lines takes casbin longer than everything else in an answer."""

LONGEST_REMEMBERED = 500
"""Characters of a thing, of which whoever asks may send a megabyte."""

ANYTHING = "*"
"""The object of a question about no one thing in particular: only a line for everything allows it."""


class NotAllowed(ReconcilerError):
    """The actor may not do this here."""

    code = "not-allowed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is acting: a login name, or the owner of a token.

    `acts` are those that the token is good for (None: they came without one). `made_by` made it: whoever makes a token
    in another's name is not another person for that.
    """

    name: str
    acts: frozenset[Act] | None = None
    token: str = ""
    made_by: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Everybody who this may be."""
        return frozenset({self.name, self.made_by} - {""})


class Operators:
    """The access policy of a workspace."""

    def __init__(self, file: str = "", text: str | None = None) -> None:
        """`text` is the policy's content, None where the workspace has none. Raises `ProblemsFound` with every bad
        line.
        """
        self.text = text
        self._file = file
        self._enforcer = None
        self._decided: dict[tuple[str, Act, str], bool] = {}
        if text is not None:
            problems = list(_problems(file, text))
            if problems:
                raise ProblemsFound(f"{file} is no usable access policy", problems)
            model = casbin.Enforcer.new_model(text=_MODEL)
            self._enforcer = casbin.Enforcer(model, StringAdapter(_plain(text)))

    @property
    def declared(self) -> bool:
        """Whether the workspace has an access policy at all."""
        return self._enforcer is not None

    def check(self, actor: Actor, act: Act, thing: str = ANYTHING) -> None:
        """Raises `NotAllowed` where the actor may not do that to this thing."""
        what = f"`{act}`" if thing == ANYTHING else f"`{act}` on `{thing}`"
        if actor.acts is not None and act not in actor.acts:
            text = f"token `{actor.token}` of {actor.name} is not good for {what}"
            raise NotAllowed(text, remedy=f"it is good for: {', '.join(sorted(actor.acts))}; make another one")
        if not self._allows(actor.name, act, thing):
            raise NotAllowed(
                f"{actor.name} may not {what} here",
                place=Place(self._file),
                remedy=f"whoever answers for the workspace adds a line: p, {actor.name}, {act}, {thing}",
            )

    def _allows(self, name: str, act: Act, thing: str) -> bool:
        """What the policy says, which it says again and again: it is read afresh where its text is another one."""
        if self._enforcer is None:
            return True
        asked = name, act, thing
        known = self._decided.get(asked)
        if known is None:
            known = bool(self._enforcer.enforce(name, act.value, thing))
            if len(thing) <= LONGEST_REMEMBERED:
                if len(self._decided) >= MOST_REMEMBERED:
                    self._decided.clear()
                self._decided[asked] = known
        return known

    def may(self, actor: Actor, act: Act, thing: str = ANYTHING) -> bool:
        """`check` as an answer."""
        try:
            self.check(actor, act, thing)
        except NotAllowed:
            return False
        return True


def _problems(file: str, text: str) -> Iterator[Problem]:
    acts = {*(act.value for act in Act), "*"}
    for line, cells in _lines(text):
        place = Place(file, line, 1)
        if cells[0] == "p" and len(cells) == 4 and all(cells):
            if cells[2] not in acts:
                remedy = f"it is one of {', '.join(sorted(acts))}"
                yield Problem("operators", f"there is no act `{cells[2]}`", place, remedy)
        elif not (cells[0] == "g" and len(cells) == 3 and all(cells)):
            text = f"`{', '.join(cells)}` is neither `p, ROLE, ACT, OBJECT` nor `g, ACTOR, ROLE`"
            yield Problem("operators", text, place, "correct the line")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), skipinitialspace=True)
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped) and not stripped[0].startswith("#"):
            yield reader.line_num, stripped


def _plain(text: str) -> str:
    """The lines as casbin's own adapter takes them."""
    return "\n".join(", ".join(cells) for _, cells in _lines(text))
