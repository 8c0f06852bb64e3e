"""Short ways to spell changes, and strategies for many of them."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from reconciler.plan.guards import Approvals, Standing
from reconciler.plan.model import Cause, CauseKind, Change
from reconciler.policy.model import EntitlementRef, Guards, Limit
from reconciler.targets import Op, entitlement_key

CLASSES = ("public", "internal", "core")
NOBODY = Approvals({}, {})
POLICY = "sha256:policy"


def change(
    person: str | None = "E1",
    op: Op = Op.REVOKE,
    group: str = "docs",
    *,
    rank: int = 1,
    cause: CauseKind = CauseKind.POLICY,
    leaver: bool = False,
    target: str = "dir",
    service: str | None = None,
) -> Change:
    about_account = op not in (Op.GRANT, Op.REVOKE)
    return Change(
        op=op,
        target=target,
        account=f"uid={person or service}",
        account_key=f"key-{person or service}",
        person=person,
        service_account=service,
        entitlement="" if about_account else f"cn={group}",
        locator={} if about_account else {"group": group},
        permissions=() if about_account else (f"{group}:read",),
        classification="accounts" if about_account else CLASSES[rank],
        class_rank=len(CLASSES) if about_account else rank,
        cause=Cause(cause, "", "because"),
        saw="absent" if op is Op.GRANT else "member",
        leaver=leaver,
    )


def ref_of(one: Change) -> EntitlementRef:
    return EntitlementRef(one.target, entitlement_key(one.locator))


def standing(
    changes: list[Change] | tuple[Change, ...] = (),
    *,
    covered: int = 1000,
    actual: int = 1000,
    recent: Mapping[str, frozenset[str]] | None = None,
    unproven: Mapping[EntitlementRef, str] | None = None,
    settled: bool = True,
    everybody: int = 1000,
) -> Standing:
    refs = {ref_of(each) for each in changes}
    return Standing(
        covered={(each.target, each.classification): covered for each in changes},
        actual=dict.fromkeys(refs, actual),
        settled=frozenset(refs) if settled else frozenset(),
        unproven=unproven or {},
        recent=recent or {},
        everybody=everybody,
    )


limits = st.builds(Limit, st.floats(0, 100), st.integers(0, 30))
guards = st.builds(
    Guards,
    limits,
    limits,
    limits,
    limits,
    limits,
    st.floats(0, 100),
    st.dictionaries(st.integers(0, 2), st.integers(0, 3)),
    st.frozensets(st.sampled_from(["E1", "E2", "svc"])),
)
one_change = st.builds(
    change,
    st.integers(1, 30).map(lambda n: f"E{n}"),
    st.sampled_from(list(Op)),
    st.sampled_from(["docs", "code", "keys"]),
    rank=st.integers(0, 2),
    cause=st.sampled_from(list(CauseKind)),
    leaver=st.booleans(),
    target=st.sampled_from(["dir", "vault"]),
)
many_changes = st.lists(one_change, max_size=60, unique_by=lambda each: each.id)
