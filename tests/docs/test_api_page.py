"""The page on the service's API: what it shows is asked, by the same shell and the same `curl`."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.service.authzen_shapes import Decision
from reconciler.service.shapes import (
    AccessAnswer,
    ApprovalAnswer,
    CanAnswer,
    HeldAnswer,
    PlanAnswer,
    RevocationAnswer,
    RunsAnswer,
    WhoAnswer,
    WhyAnswer,
)
from tests.cli.company import Company
from tests.cli.fixtures import *  # noqa: F403
from tests.docs.test_service_page import blocks, started, typed
from tests.servers.slapd import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")


def test_the_page_works_as_it_is_written(informed_company: Company) -> None:
    company, port = informed_company, free_port()
    company.edit("reconciler.yaml", "127.0.0.1:8470", f"127.0.0.1:{port}")
    tokens, ask, evaluate, look, decide = blocks("sh", PAGE)
    (shown,) = map(json.loads, blocks("json", PAGE))
    with started(blocks("sh")[0], company) as environment:
        typed(tokens, company, environment, port)
        head = "\n".join(ask.splitlines()[:2]) + "\n"

        access, who, why, can = typed(ask, company, environment, port)
        (decided,) = typed(head + evaluate, company, environment, port)
        held, plan, runs = typed(head + look, company, environment, port)
        approved, revoked = typed(head + decide, company, environment, port)

    AccessAnswer.model_validate(access)
    assert WhoAnswer.model_validate(who).allowed
    assert WhyAnswer.model_validate(why).permission == "core-algorithms:read"
    assert CanAnswer.model_validate(can).as_known_at.ledger_seq == 100
    assert Decision.model_validate(decided) == Decision.model_validate({**decided, "decision": shown["decision"]})
    assert decided["context"].keys() == shown["context"].keys()
    assert HeldAnswer.model_validate(held).slices
    assert PlanAnswer.model_validate(plan).changes
    RunsAnswer.model_validate(runs)
    assert ApprovalAnswer.model_validate(approved).changes
    assert RevocationAnswer.model_validate(revoked).person == "E1012"
    assert "E1012" in company.run("can", "E1012", "handbook:read", "--output", "json").out
    assert company.run("can", "E1012", "handbook:read").out == "no\n"
