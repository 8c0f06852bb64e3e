"""Real servers that lack some features, and answer accordingly to whoever uses them all the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import requests

from reconciler.targets import Op, OutcomeKind, Reading
from reconciler.testing.targets import PEOPLE, observe, seen
from tests.adapters.scim.lab import ScimLab, outcomes
from tests.servers.scim import started

LACKING = [("bulk",), ("filter",), ("patch",), ("filter", "bulk", "etag"), ("filter", "bulk", "patch")]


@pytest.mark.parametrize("without", LACKING, ids="-".join)
def test_what_is_not_offered_is_not_used(without: Sequence[str]) -> None:
    with started(without) as server:
        groups = {"docs-readers": ["zhang", "smith"], "核心算法": ["muller"], "empty": []}
        lab = ScimLab(server.tenant(), PEOPLE, groups, accounts={"disable": "active", "delete": True})

        observation = observe(lab, "docs-readers", "核心算法", "empty")
        readers, core, empty = observation.entitlements.values()
        assert (seen(observation, readers), seen(observation, core)) == ({"zhang", "smith"}, {"muller"})
        assert empty.reading is Reading.CONFIRMED_EMPTY
        assert seen(observe(lab, "docs-readers", accounts=["smith", "plain"])) == {"smith"}

        steps = [
            lab.step(Op.DISABLE_ACCOUNT, "zhang"),
            lab.step(Op.REVOKE, "zhang", group="docs-readers"),
            lab.step(Op.GRANT, "plain", group="docs-readers"),
            lab.step(Op.GRANT, "plain", group="empty"),
            lab.step(Op.DELETE_ACCOUNT, "muller"),
        ]
        assert {outcome.kind for outcome in outcomes(lab.target, *steps)} == {OutcomeKind.APPLIED}
        assert lab.members("docs-readers") == {"smith", "plain"}
        assert lab.members("empty") == {"plain"}
        assert lab.user("zhang")["active"] is False
        with pytest.raises(requests.HTTPError, match="404"):
            lab.user("muller")

        lacking = ", ".join(each for each in ("filter", "etag", "bulk") if each in without)
        texts = [finding.text for finding in lab.target.probe()]
        assert len(texts) == bool(lacking)
        assert all(f"does not offer {lacking}" in text for text in texts)


def test_without_patch_and_versions_it_is_not_changed() -> None:
    with started(["patch", "etag"]) as server:
        lab = ScimLab(server.tenant(), PEOPLE, {"docs-readers": ["zhang"]})

        [outcome] = outcomes(lab.target, lab.step(Op.GRANT, "plain", group="docs-readers"))

        assert outcome.kind is OutcomeKind.REFUSED
        assert lab.members("docs-readers") == {"zhang"}
