"""What managed entitlements were when they last agreed: the rows of `baselines`, read and written."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping

from pyroaring import BitMap
from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select

from reconciler.apply.tables import baselines
from reconciler.facts.ledger import CHUNK, chunks
from reconciler.plan.causes import Baseline
from reconciler.policy.model import EntitlementRef

__all__ = ["as_baseline", "baselines_of", "forget_baselines", "read_baselines", "save_baselines"]


def baselines_of(connection: Connection, refs: Collection[EntitlementRef]) -> dict[EntitlementRef, Baseline]:
    """What these entitlements were when they last agreed; those that never did, too."""
    never = {ref: Baseline(BitMap(), frozenset(), "", 0, settled=False) for ref in refs}
    return {**never, **read_baselines(connection, refs)}


def read_baselines(connection: Connection, refs: Collection[EntitlementRef]) -> dict[EntitlementRef, Baseline]:
    """What these entitlements were when they last agreed, those of them that ever did."""
    by_target: dict[str, list[str]] = defaultdict(list)
    for ref in refs:
        by_target[ref.target].append(ref.key)
    found = {}
    c = baselines.c
    for target, keys in by_target.items():
        for some in chunks(keys, CHUNK):
            asked = select(baselines).where(c.target == target, c.entitlement_key.in_(some))
            for row in connection.execute(asked).mappings():
                found[EntitlementRef(target, row["entitlement_key"])] = as_baseline(row)
    return found


def as_baseline(row: RowMapping) -> Baseline:
    """What the row says."""
    return Baseline(
        members=BitMap.deserialize(row["members"]),
        services=frozenset(json.loads(row["services"])),
        policy_digest=row["policy_digest"],
        ledger_seq=row["ledger_seq"],
        settled=row["settled"],
    )


def save_baselines(connection: Connection, known: Mapping[EntitlementRef, Baseline]) -> None:
    """Write them in place of what stands there. Many at once: others wait for their turn meanwhile."""
    rows = [
        {
            "target": ref.target,
            "entitlement_key": ref.key,
            "members": _canonical(baseline.members),
            "services": json.dumps(sorted(baseline.services)),
            "policy_digest": baseline.policy_digest,
            "ledger_seq": baseline.ledger_seq,
            "settled": baseline.settled,
        }
        for ref, baseline in known.items()
    ]
    if rows:
        forget_baselines(connection, known)
        connection.execute(insert(baselines), rows)


def forget_baselines(connection: Connection, refs: Collection[EntitlementRef]) -> None:
    """That these entitlements ever agreed."""
    connection.execute(_FORGET, [{"of_target": ref.target, "of_entitlement_key": ref.key} for ref in refs])


_FORGET = delete(baselines).where(
    baselines.c.target == bindparam("of_target"), baselines.c.entitlement_key == bindparam("of_entitlement_key")
)


def _canonical(members: BitMap) -> bytes:
    """The same bytes for the same members, however they came together."""
    afresh = BitMap(members.to_array())
    afresh.run_optimize()
    return afresh.serialize()
