"""What every test of the Mayan adapter may have: a document management system with people in it."""

from __future__ import annotations

from tests.servers.fixtures import mayan, mayan_server_of_all

__all__ = ["mayan", "mayan_server_of_all"]
