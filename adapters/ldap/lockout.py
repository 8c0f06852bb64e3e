"""Whether a lock keeps anybody out.

OpenLDAP sets `pwdAccountLockedTime` where the overlay `ppolicy` is loaded, and looks at it only where a password policy
with `pwdLockout: TRUE` is in effect (draft-behera-ldap-password-policy, section 5.2.9; slapo-ppolicy(5)). Without one,
a disabled account signs in as before.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapters.directory.locking import LOCKS
from adapters.directory.settings import Layout
from adapters.ldap.marking import context_of
from adapters.ldap.requests import Scope, all_of, equal
from adapters.ldap.server import Server
from adapters.ldap.wire import Question, ReadOnlyWire
from reconciler.targets import TargetError, TargetFinding, TargetUnavailable

__all__ = ["SESSIONS", "without_effect"]

SESSIONS = {
    "ppolicy": (
        "a server looks at the lock when somebody signs in and at no other time; connections that are open stay so "
        "until they are closed, and so do the sessions of programs that signed somebody in by it"
    ),
    "shadow-expire": (
        "hosts that log people in look at shadowExpire, and the server does not: who signs in to that, or to a program "
        "that asks it, still can, and what is open stays open"
    ),
}
"""What lives on of an account that is locked in each way."""


def without_effect(wire: ReadOnlyWire, server: Server, layout: Layout) -> Iterator[TargetFinding]:
    """A finding where no such policy is to be seen. Raises `TargetUnavailable`."""
    if layout.lock is not LOCKS["ppolicy"]:
        return
    condition = all_of(equal("objectClass", "pwdPolicy"), equal("pwdLockout", "TRUE"))
    try:
        root = server.read("", ("namingContexts",))
        contexts = [value.decode("utf-8", "surrogateescape") for value in root.values("namingContexts")] if root else []
        context = context_of(layout.people_base, contexts)
        policies = list(wire.ask([Question(context, Scope.SUBTREE, condition)], ("1.1",))) if context else [root]
    except TargetUnavailable:
        raise
    except TargetError:
        return
    if not policies:
        text = (
            f"no password policy with `pwdLockout: TRUE` is to be seen under {context}: unless one is in effect, the "
            "server lets people in whose accounts are disabled; make one the default (`ppolicy_default`)"
        )
        yield TargetFinding("lock-without-effect", context, text)
