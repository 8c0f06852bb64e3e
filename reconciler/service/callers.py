"""Who calls: the owner of the token that the request carries. Without a token nobody calls, on loopback neither."""

from __future__ import annotations

from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from reconciler.passes.operators import ANYTHING, Actor
from reconciler.passes.tokens import Act, TokenRefused, token_behind
from reconciler.service.premises import Premises

__all__ = ["Callers"]

_BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token, as `reconciler token create` prints it."
)


class Callers:
    """Tells who calls, and whether they may. Its `actor` is a FastAPI dependency: ``Depends(callers.actor)``."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises

    def actor(self, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]) -> Actor:
        """The token's owner, for what the token is good for. Raises `TokenRefused` and `StoreError`."""
        if given is None:
            remedy = "send `Authorization: Bearer rec_…`; make one: reconciler token create --owner NAME --act ACT"
            raise TokenRefused("the request carries no token", remedy=remedy)
        found = token_behind(self._premises.facts, given.credentials, self._premises.clock())
        return Actor(found.owner, found.acts, found.id, found.made_by)

    def check(self, actor: Actor, act: Act, *things: str) -> None:
        """Raises `NotAllowed` where the actor may not do that to one of these things (to anything, where none is
        named).
        """
        operators = self._premises.workspace.operators()
        for thing in things or (ANYTHING,):
            operators.check(actor, act, thing)
