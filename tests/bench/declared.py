"""Reading a declared REST system of 10,000 users and 500 groups, beside the same pages asked for and thrown away."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.http import HttpTarget
from reconciler.targets import Reading
from tests.adapters.http.lab import declaration, target
from tests.bench.measuring import Measurement
from tests.bench.provisioning import GROUPS, PAGE, PER_GROUP, SIZE, USERS, members_of
from tests.servers.scim import Tenant, started


def room() -> Iterator[Measurement]:
    """Observe everything."""
    with started() as server:
        tenant = server.tenant()
        keys = tenant.add_users(
            [{"userName": f"e{n}", "displayName": f"e{n}", "externalId": f"E{n:06}"} for n in range(USERS)]
        )
        for group in range(GROUPS):
            tenant.add_group(f"g{group}", [{"value": keys[n]} for n in members_of(group)])
        system = target(declaration(tenant.url, page=PAGE))
        yield "http/observe", SIZE, lambda: observed(system), "the same pages by requests", lambda: pages(tenant)


def observed(system: HttpTarget) -> None:
    """Everything."""
    found = system.observe([{"group": f"g{group}"} for group in range(GROUPS)])
    reads = found.entitlements.values()
    if found.accounts.reading is not Reading.COMPLETE or len(found.accounts.accounts) != USERS:
        raise RuntimeError("it was not read whole")
    if sum(len(read.members) for read in reads) != GROUPS * PER_GROUP:
        raise RuntimeError("somebody is missing")


def pages(tenant: Tenant) -> None:
    """What the adapter asks for, not looked at."""
    for path, count in (("/Groups", GROUPS), ("/Users", USERS)):
        for start in range(1, count + 1, PAGE):
            tenant.ask("GET", path, params={"startIndex": str(start), "count": str(PAGE)})
