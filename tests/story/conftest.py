"""The companies that commands are run on."""

from tests.cli.fixtures import *  # noqa: F403
