"""What is done by the schedule beside whole passes, one thing after the other: feeds of people, checkpoints of the
record, news of the policy repository.

Promises: a turn that comes is taken once, and what fails waits for its next turn, never in a hot loop; it is logged,
and said by `attention` until that thing goes well. Of several services on one store one takes a turn (each looks after
its own copy of the policies). Feeds are read, and the policy repository is asked, at the start too, since nobody knows
what was missed while the service was down; both do no harm when there is nothing new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Event, Lock, Thread

from reconciler.errors import ReconcilerError
from reconciler.logs import log
from reconciler.passes import work
from reconciler.passes.attention import note_attention, recall_attention
from reconciler.passes.operators import Actor
from reconciler.passes.tokens import Act
from reconciler.service.aside import Here
from reconciler.service.chores import Chore, attest_record, bring_in
from reconciler.service.jobs import Stopping
from reconciler.service.premises import Premises
from reconciler.service.schedule import Turns, last_turn
from reconciler.workspace import Workspace
from reconciler.workspace.upstream import PolicySource

__all__ = ["Errands", "check_allowed"]

PIECE = 1.0
"""No longer than this, in seconds, is waited without a look at the clock."""

PATIENCE = 60.0
"""So many seconds whatever is under way has to come to rest at a stop."""

FETCH = "policy-repository"
CHECKPOINT = "checkpoint"
IMPORT = "import"


@dataclass(frozen=True, slots=True)
class _Errand:
    """`name` says what it is about, `once`: of several services one does it."""

    name: str
    cron: str
    work: Callable[[], Chore]
    at_start: bool
    once: bool = True


def check_allowed(workspace: Workspace, actor: Actor) -> None:
    """Raises `NotAllowed` where whoever starts the service may not do what is scheduled."""
    operators, schedule = workspace.operators(), workspace.spec.service.schedule
    if schedule.imports or schedule.full_imports:
        operators.check(actor, Act.RECORD)
    if schedule.checkpoint is not None:
        operators.check(actor, Act.ADMINISTER)


class Errands:
    """One for a service. `told` is called when there may be something new on record, `changed` when the policies are
    others than before.
    """

    def __init__(self, premises: Premises, beside: Here, told: Callable[[], None], changed: Callable[[], None]) -> None:
        self._premises = premises
        self._beside = beside
        self._told, self._changed = told, changed
        self._wake, self._stop = Event(), Event()
        self._errands = {each.name: each for each in self._all()}
        self._turns = Turns(
            {each.name: each.cron for each in self._errands.values()}, premises.workspace.zone, premises.clock()
        )
        self._wanted = {each.name for each in self._errands.values() if each.at_start}
        self._attention: dict[str, Chore] = {}
        self._turn = Lock()
        self._thread = Thread(target=self._run, name="errands", daemon=True)

    def _all(self) -> Iterator[_Errand]:
        settings = self._premises.workspace.spec.service
        if settings.policy_repository is not None:
            yield _Errand(FETCH, settings.schedule.fetch, self._fetch, at_start=True, once=False)
        for kind, crons, full in (
            (IMPORT, settings.schedule.imports, False),
            (f"full-{IMPORT}", settings.schedule.full_imports, True),
        ):
            for source, cron in crons.items():
                work = partial(self._beside.do, bring_in, self._stop, source, full)
                yield _Errand(f"{kind} {source}", cron, work, at_start=not full)
        if settings.schedule.checkpoint is not None:
            work = partial(self._beside.do, attest_record, self._stop)
            yield _Errand(CHECKPOINT, settings.schedule.checkpoint, work, at_start=False)

    # --- from outside ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more; wait for what is under way, and not for ever."""
        self._stop.set()
        self._wake.set()
        self._thread.join(PATIENCE)
        self._beside.close()

    def look(self) -> None:
        """Look at the clock now."""
        self._wake.set()

    def fetch(self) -> None:
        """Ask the policy repository now. However often it is said meanwhile, it is asked once more."""
        with self._turn:
            self._wanted.add(FETCH)
        self._wake.set()

    @property
    def attention(self) -> Mapping[str, Chore]:
        """What somebody has to see to, by what it is about: the same on all that share a store. While that is out of
        reach, what was in the way here.
        """
        with self._turn:
            own = dict(self._attention)
        if not self._premises.facts.store.shared:
            return own
        try:
            noted = recall_attention(self._premises.facts.store)
        except ReconcilerError:
            return own
        found = {name: Chore(*noted[name]) for name, errand in self._errands.items() if errand.once and name in noted}
        return found | {name: chore for name, chore in own.items() if not self._errands[name].once}

    @property
    def alive(self) -> bool:
        """Whether turns are taken."""
        return self._thread.is_alive()

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            with self._turn:
                come = set(self._turns.due(self._premises.clock()))
                wanted = {name: name in self._wanted for name in self._errands if name in self._wanted | come}
                self._wanted.clear()
            for name, asked in wanted.items():
                if not self._stop.is_set():
                    self._take(self._errands[name], asked=asked)
            self._beside.rest()
            self._wake.wait(0 if wanted else self._pause())

    def _pause(self) -> float:
        ahead = self._turns.next - self._premises.clock() if self._turns.next else timedelta(seconds=PIECE)
        return min(PIECE, max(0.0, ahead.total_seconds()))

    def _take(self, errand: _Errand, *, asked: bool) -> None:
        chore = Chore("defect", f"{errand.name}: a defect of the reconciler; the log has more")
        try:
            with self._ours(errand, asked=asked) as ours:
                if not ours:
                    return
                chore = errand.work()
        except Stopping:
            return
        except ReconcilerError as error:
            chore = Chore(error.code, f"{errand.name}: {error.message}")
            log.warning("errand-failed", what=errand.name, code=error.code)
        except Exception:
            log.exception("defect", where="errand", what=errand.name)
        with self._turn:
            if chore.code:
                self._attention[errand.name] = chore
            else:
                self._attention.pop(errand.name, None)
        self._note(errand, chore)
        self._told()

    def _note(self, errand: _Errand, chore: Chore) -> None:
        """The next turn may be another one's, and so may be the question."""
        store = self._premises.facts.store
        if errand.once and store.shared:
            try:
                note_attention(store, errand.name, chore.code, chore.text)
            except ReconcilerError as error:
                log.warning("record-unreadable", code=error.code)

    @contextmanager
    def _ours(self, errand: _Errand, *, asked: bool) -> Iterator[bool]:
        """Whether it is for us to do; what was asked for beside the schedule always is, unless somebody is at it."""
        if not errand.once:
            yield True
            return
        name = hashlib.sha256(errand.name.encode()).hexdigest()[:16]
        with self._premises.facts.store.lease(f"errand-{name}") as ours:
            yield ours and (self._turn_taken(errand) or asked)

    def _turn_taken(self, errand: _Errand) -> bool:
        store, zone = self._premises.facts.store, self._premises.workspace.zone
        if not store.shared:
            return True
        with store.writing() as connection:
            return work.claim(connection, errand.name, last_turn(errand.cron, self._premises.clock(), zone))

    def _fetch(self) -> Chore:
        upstream = self._premises.workspace.spec.service.policy_repository
        if upstream is None:
            return Chore()
        workspace = self._premises.workspace
        signers = workspace.folder / upstream.signers if upstream.signers is not None else None
        folders = workspace.repository().folders
        source = PolicySource(folders, upstream.branch, upstream.remote, signers)
        source.fetch()
        if (news := source.news()) is not None:
            with self._premises.policies_at_rest():
                source.take_over(news)
            log.info("policies-taken-over", before=news.before, after=news.after, branch=upstream.branch)
            with suppress(ReconcilerError):  # which is said where the policies are needed
                self._premises.standing()
            self._changed()
        return Chore()
