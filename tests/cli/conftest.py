"""The companies that commands are run on."""

from tests.cli.fixtures import *  # noqa: F403
from tests.servers.fixtures import chat, mail

__all__ = ["chat", "mail"]
