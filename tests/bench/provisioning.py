"""Reading a SCIM provider of 10,000 users and 500 groups, beside the same pages asked for and thrown away; changing one
of its groups, beside the bare request that changes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adapters.scim import ScimTarget
from reconciler.targets import Op, OutcomeKind, Reading, Step
from tests.adapters.scim.lab import context, settings_for
from tests.bench.measuring import Measurement
from tests.servers.scim import Tenant, started

USERS, GROUPS, PER_GROUP = 10_000, 500, 60
SIZE = f"{USERS:,} users, {GROUPS} groups, {GROUPS * PER_GROUP:,} members"
PAGE = 1000
NEWCOMERS = 1000


def room() -> Iterator[Measurement]:
    """Observe everything, observe one account, let a thousand into a group."""
    with started() as server:
        tenant = server.tenant()
        keys = tenant.add_users([{"userName": f"e{n}", "externalId": f"E{n:06}"} for n in range(USERS)])
        groups = [tenant.add_group(f"g{g}", [{"value": keys[n]} for n in members_of(g)]) for g in range(GROUPS)]
        target = ScimTarget(context(), settings_for(tenant.url, page_size=PAGE))
        yield "scim/observe", SIZE, lambda: observed(target), "the same pages by requests", lambda: pages(tenant)
        yield "scim/observe-one", SIZE, lambda: observed(target, keys[0]), "", None
        free = [key for n, key in enumerate(keys) if n not in members_of(0)][: 2 * NEWCOMERS]
        steps = [Step(Op.GRANT, key, key, {"group": "g0"}) for key in free[:NEWCOMERS]]
        by_hand = free[NEWCOMERS:]
        yield (
            "scim/grant",
            f"{NEWCOMERS:,} members to one group",
            lambda: granted(target, steps),
            "one PATCH by requests",
            lambda: tenant.patch(
                f"/Groups/{groups[1]}",
                {"op": "add", "path": "members", "value": [{"value": key} for key in by_hand]},
            ),
        )


def members_of(group: int) -> Sequence[int]:
    """Who is in a group."""
    return [(group * 37 + step * 701) % USERS for step in range(PER_GROUP)]


def observed(target: ScimTarget, *only: str) -> None:
    """Everything, or what concerns one account."""
    locators: Sequence[Mapping[str, str]] = [{"group": f"g{g}"} for g in range(GROUPS)]
    found = target.observe(locators, list(only) or None)
    reads = found.entitlements.values()
    if found.accounts.reading is not Reading.COMPLETE or any(read.reading is not Reading.COMPLETE for read in reads):
        raise RuntimeError("it was not read whole")
    if not only and sum(len(read.members) for read in reads) != GROUPS * PER_GROUP:
        raise RuntimeError("somebody is missing")


def pages(tenant: Tenant) -> None:
    """What the adapter asks for, not looked at."""
    for path, count, attributes in (
        ("/Groups", GROUPS, "displayName,members"),
        ("/Users", USERS, "userName,active,externalId"),
    ):
        for start in range(1, count + 1, PAGE):
            tenant.ask("GET", path, params={"attributes": attributes, "startIndex": str(start), "count": str(PAGE)})


def granted(target: ScimTarget, steps: Sequence[Step]) -> None:
    """All of them."""
    with target.writer() as writer:
        if {outcome.kind for outcome in writer.apply(steps)} != {OutcomeKind.APPLIED}:
            raise RuntimeError("somebody was not let in")
