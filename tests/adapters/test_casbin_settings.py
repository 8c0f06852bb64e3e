"""Which casbin models, settings and locators the target takes, and what it says of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.casbin import CasbinTarget
from reconciler.targets import (
    Locator,
    Op,
    OutcomeKind,
    Place,
    ProblemsFound,
    Reading,
    TargetContext,
    TargetError,
    entitlement_key,
)
from tests.adapters.vault import (
    DESIGNS,
    MODEL,
    MODEL_WITHOUT_ROLES,
    POWERS,
    READER,
    Vault,
    grant,
    members,
)


@pytest.fixture
def file_vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


# --- models -----------------------------------------------------------------------------------------

REFUSED_MODELS = {
    "domains": MODEL.replace("g = _, _", "g = _, _, _"),
    "denials": MODEL.replace("p = sub, obj, act", "p = sub, obj, act, eft"),
    "deny overrides": MODEL.replace("some(where (p.eft == allow))", "!some(where (p.eft == deny))"),
    "superuser": MODEL.rstrip() + ' || r.sub == "root"',
    "a further condition": MODEL.rstrip() + " && r.act != p.obj\n",
    "pattern subjects": MODEL.replace("g(r.sub, p.sub)", "keyMatch(r.sub, p.sub)"),
    "resource roles": MODEL.replace("g = _, _", "g = _, _\ng2 = _, _"),
    "conditions on roles": MODEL.replace("g = _, _", "g = _, _, (_, _)"),
    "request with tenant": MODEL.replace("r = sub, obj, act", "r = sub, dom, obj, act"),
    "roles that the matcher ignores": MODEL.replace("g(r.sub, p.sub)", "r.sub == p.sub"),
    "no matcher": MODEL.partition("[matchers]")[0],
    "no model": "hello\nworld",
    "nothing": "",
}


@pytest.mark.parametrize("model", REFUSED_MODELS.values(), ids=REFUSED_MODELS.keys())
def test_a_model_that_is_not_understood_is_refused(tmp_path: Path, model: str) -> None:
    vault = Vault(tmp_path, model)
    vault.fill(POWERS)

    with pytest.raises(TargetError, match="the casbin model is not understood") as refused:
        vault.observe()
    assert "expected: r = sub, obj, act" in str(refused.value)
    assert "vault.conf" in str(refused.value)


def test_a_missing_model_is_said(file_vault: Vault) -> None:
    (file_vault.folder / "vault.conf").unlink()

    with pytest.raises(TargetError, match="the casbin model cannot be read"):
        file_vault.observe()


def test_without_roles_people_are_named_one_by_one(tmp_path: Path) -> None:
    vault = Vault(tmp_path, MODEL_WITHOUT_ROLES)
    vault.fill("p, E1, chip-designs, read\n")

    assert vault.apply(grant("E2", DESIGNS), grant("E2", READER)) == [OutcomeKind.APPLIED, OutcomeKind.REFUSED]
    assert vault.enforcer().enforce("E2", "chip-designs", "read")
    assert members(vault.observe(), DESIGNS) == {"E1", "E2"}
    assert vault.observe().entitlements[entitlement_key(READER)].reading is Reading.FAILED


def test_with_patterns_only_roles_can_be_managed(tmp_path: Path) -> None:
    vault = Vault(tmp_path, MODEL.replace("r.obj == p.obj", "keyMatch2(r.obj, p.obj)"))
    vault.fill("p, core-reader, /core/:id, read\np, E9, *, read\n")
    observed = vault.observe()

    assert vault.apply(grant("E1", READER), grant("E1", DESIGNS)) == [OutcomeKind.APPLIED, OutcomeKind.REFUSED]
    assert vault.enforcer().enforce("E1", "/core/7", "read")
    assert observed.entitlements[entitlement_key(READER)].reading is Reading.CONFIRMED_EMPTY
    assert observed.entitlements[entitlement_key(DESIGNS)].reading is Reading.FAILED


# --- settings and locators --------------------------------------------------------------------------


def problems_of(settings: dict[str, object]) -> str:
    with pytest.raises(ProblemsFound) as found:
        CasbinTarget(TargetContext("vault", Path(), Place("reconciler.yaml", 40)), settings)
    return str(found.value)


def test_all_mistakes_in_the_settings_are_told_at_once() -> None:
    said = problems_of({"modle": "vault.conf", "policy": {"tabel": "x", "url": 3}})

    for expected_text in (
        "`modle` is not a setting",
        "did you mean `model`?",
        "`model` is missing",
        "`policy.tabel`",
        "`policy.url`",
    ):
        assert expected_text in said
    assert "reconciler.yaml:40" in said


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:", "nosuch://user:s3cret@host/db"])
def test_a_url_that_cannot_work_is_refused_without_its_password(url: str) -> None:
    said = problems_of({"model": "vault.conf", "policy": {"url": url}})

    assert "`policy.url`" in said
    assert "s3cret" not in said


def test_a_url_in_the_place_of_a_path_says_how_to_write_it() -> None:
    assert "policy: {url: …" in problems_of({"model": "vault.conf", "policy": "sqlite:///vault.db"})


def test_constructing_a_target_reads_nothing(tmp_path: Path) -> None:
    target = CasbinTarget(
        TargetContext("vault", tmp_path / "none", Place("reconciler.yaml")), {"model": "a", "policy": "b"}
    )

    assert target.describe().ops == {Op.GRANT, Op.REVOKE}
    assert target.describe().implicit_accounts
    assert target.match_attributes() == ("id",)


GOOD: list[Locator] = [READER, DESIGNS, {"role": "核心读者"}, {"object": "/docs/{id}/*", "action": "read"}]
BAD: list[Locator] = [
    {},
    {"group": "x"},
    {"role": "x", "object": "y", "action": "z"},
    {"object": "y"},
    {"role": ""},
    {"role": "a,b"},
    {"role": "a\nb"},
    {"object": "f(x)", "action": "read"},
]


@pytest.mark.parametrize("locator", GOOD)
def test_a_locator_that_can_mean_something_passes(file_vault: Vault, locator: Locator) -> None:
    assert file_vault.target.check_locator(locator) is None


@pytest.mark.parametrize("locator", BAD)
def test_a_locator_that_cannot_is_told_why(file_vault: Vault, locator: Locator) -> None:
    assert file_vault.target.check_locator(locator)


def test_a_probe_says_that_everybody_may_write_the_store(file_vault: Vault) -> None:
    file_vault.fill(POWERS)
    assert not file_vault.target.probe()
    file_vault.policy.chmod(0o666)

    assert [finding.kind for finding in file_vault.target.probe()] == ["insecure-store"]
