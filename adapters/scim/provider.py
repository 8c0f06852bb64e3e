"""One provider, as far as it can be read."""

from __future__ import annotations

from adapters.api.trouble import Trouble
from adapters.scim.asking import Features, Questions
from adapters.scim.attributes import one_text, part
from adapters.scim.groups import GroupReader
from adapters.scim.session import Session
from adapters.scim.settings import Layout
from adapters.scim.users import Users

__all__ = ["Provider"]


class Provider:
    """Its users, its groups, and what it says of itself. Everything raises `Trouble`."""

    def __init__(self, session: Session, layout: Layout) -> None:
        self._session = session
        self._knows_me = "me" not in layout.without
        self._questions = Questions(session, layout)
        self.users = Users(self._questions, layout)
        self.groups = GroupReader(self._questions, layout)

    @property
    def features(self) -> Features:
        """What it offers, and the settings do not exclude."""
        return self._questions.features

    def own_key(self) -> str:
        """The key of the account that we are signed in as; a blank where the provider has no answer to that."""
        if not self._knows_me:
            return ""
        try:
            return one_text(part(self._session.get("/Me", {"attributes": "id"}).value, "id"))
        except Trouble as trouble:
            if trouble.passing:  # whom to leave alone is not forgotten because of a bad minute
                raise
            return ""

    def check(self) -> None:
        """Whether users and groups can be read at all."""
        for path in ("/Users", "/Groups"):
            self._questions.count(path)
