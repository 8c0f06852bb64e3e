"""Who calls: the owner of the token that the request carries. Without a token nobody calls, on loopback neither."""

from __future__ import annotations

from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from reconciler.facts.at_hand import Glance
from reconciler.passes.operators import ANYTHING, Actor
from reconciler.passes.tokens import Act, Token, TokenRefused, checked, read_token, subject_of
from reconciler.service.premises import Premises

__all__ = ["BEARER", "Callers"]

BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token, as `reconciler token create` prints it."
)


class Callers:
    """Tells who calls, and whether they may. Its `actor` is a FastAPI dependency: ``Depends(callers.actor)``."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises

    def actor(self, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]) -> Actor:
        """The token's owner, for what the token is good for. Raises `TokenRefused` and `StoreError`."""
        with self._premises.at_hand.glance() as seen:
            return self.behind(given, seen)

    def behind(self, given: HTTPAuthorizationCredentials | None, seen: Glance) -> Actor:
        """The same, as far as a look at the record shows that is there already: whether the token was taken back is
        asked of the record each time, since any process may have done that.
        """
        if given is None:
            remedy = "send `Authorization: Bearer rec_…`; make one: reconciler token create --owner NAME --act ACT"
            raise TokenRefused("the request carries no token", remedy=remedy)

        def find(name: str) -> Token | None:
            return seen.get(("token", name), lambda connection: (read_token(connection, name), {subject_of(name)}))

        found = checked(given.credentials, find, self._premises.clock())
        return Actor(found.owner, found.acts, found.id, found.made_by)

    def check(self, actor: Actor, act: Act, *things: str) -> None:
        """Raises `NotAllowed` where the actor may not do that to one of these things (to anything, where none is
        named).
        """
        operators = self._premises.operators()
        for thing in things or (ANYTHING,):
            operators.check(actor, act, thing)
