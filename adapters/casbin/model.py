"""Which casbin models this adapter understands.

Who has an entitlement can be told from the lines of a store only where the model's matcher says so plainly: access is
what a line allows to its subject or to a role that the subject holds. Denials, domains, priorities, conditions and
superuser clauses would make that answer wrong, so a model that has them is refused, with what it should look like.

Source: https://casbin.org/docs/syntax-for-models
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from casbin.model import Model

from reconciler.targets import Locator, Place, TargetError

SUBJECT_BY_ROLE = "g(r_sub,p_sub)"
SUBJECT_ITSELF = "r_sub==p_sub"
EXPECTED = (
    "r = sub, obj, act · p = sub, obj, act · g = _, _ · e = some(where (p.eft == allow))"
    " · m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"
)


@dataclass(frozen=True, slots=True)
class VaultModel:
    """A model that is understood."""

    has_roles: bool
    """Lines of kind g count."""
    exact: bool
    """Objects and actions are compared as they stand, not by pattern."""
    text: str

    def obstacle_to(self, locator: Locator) -> str:
        """Why this model cannot carry such an entitlement; empty where it can."""
        if "role" in locator and not self.has_roles:
            return "the casbin model has no role definition (g = _, _), so nobody can hold a role"
        if "object" in locator and not self.exact:
            return "the casbin model matches by pattern, so other lines may give the same: bind a role instead"
        return ""


def read_model(text: str, place: Place) -> VaultModel:
    """The model that a text describes. Raises `TargetError` where it is not one that this adapter understands."""
    try:
        model = Model()
        model.load_model_from_text(text)
        sections = {section: {key: found.value for key, found in model[section].items()} for section in model.model}
    except Exception as error:  # casbin raises whatever its parser stumbles over
        raise _refused(f"it is no casbin model: {error}", place) from None
    if problem := _problem(sections):
        raise _refused(problem, place)
    conjuncts = _conjuncts(sections["m"]["m"])
    exact = {"r_obj==p_obj", "r_act==p_act"} <= conjuncts
    return VaultModel(has_roles="g" in sections, exact=exact, text=text)


def fresh(model: VaultModel) -> Model:
    """A casbin model without any lines, for casbin's own reader to fill."""
    made = Model()
    made.load_model_from_text(model.text)
    return made


def _refused(problem: str, place: Place) -> TargetError:
    return TargetError(f"the casbin model is not understood: {problem}", place=place, remedy=f"expected: {EXPECTED}")


def _problem(sections: dict[str, dict[str, str]]) -> str | None:
    missing = [name for name in ("r", "p", "e", "m") if name not in sections]
    if missing:
        return f"{', '.join(missing)} is missing"
    extra = sorted({key for found in sections.values() for key in found} - {"r", "p", "g", "e", "m"})
    if extra:
        return f"it defines {', '.join(extra)}"
    for name, expected in (
        ("r", "sub,obj,act"),
        ("p", "sub,obj,act"),
        ("g", "_,_"),
        ("e", "some(where(p_eft==allow))"),
    ):
        if name in sections and _plain(sections[name][name]) != expected:
            return f"{name} = {sections[name][name]}"
    return _matcher_problem(sections["m"]["m"], has_roles="g" in sections)


def _matcher_problem(matcher: str, *, has_roles: bool) -> str | None:
    conjuncts = _conjuncts(matcher)
    subject = SUBJECT_BY_ROLE if has_roles else SUBJECT_ITSELF
    if subject not in conjuncts:
        return f"the matcher does not demand {subject.replace('_', '.')}"
    for conjunct in conjuncts - {subject}:
        if not re.fullmatch(r"r_(obj|act)==p_\1|(keyMatch[2-5]?|regexMatch|globMatch)\(r_(obj|act),p_\3\)", conjunct):
            return f"the matcher asks for {conjunct.replace('_', '.')}"
    return None


def _conjuncts(matcher: str) -> set[str]:
    return set(_plain(matcher).split("&&"))


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text)
