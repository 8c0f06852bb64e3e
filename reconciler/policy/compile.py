"""Clauses → a `Policy` with every name resolved.

Goes on after a mistake, so that all are found; what comes of a tree with an error in it is thrown away. The order is
that of the words: attributes before the matches over them, levels before what is classified, resources before grants.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import replace

from reconciler.errors import Place
from reconciler.policy.binding import RoleWords
from reconciler.policy.collisions import refuse_shared_entitlements
from reconciler.policy.compartments import compile_compartments
from reconciler.policy.conduct import compile_guards, compile_lifecycle
from reconciler.policy.exceptions import (
    check_exception_limits,
    compile_exception_limits,
    compile_exceptions,
    compile_lockouts,
    compile_service_accounts,
)
from reconciler.policy.families import compile_resources
from reconciler.policy.grants import Permissions
from reconciler.policy.invariants import compile_invariants
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import Policy
from reconciler.policy.patterns import PermissionPatterns
from reconciler.policy.proofs import ProofReader
from reconciler.policy.reading import Documents
from reconciler.policy.report import Report
from reconciler.policy.resources import ResourceWords, tabulate_entitlements
from reconciler.policy.retirement import compile_retired, emptied
from reconciler.policy.roles import compile_roles
from reconciler.policy.separation import compile_separations, compile_sponsors
from reconciler.policy.trials import Vocabulary, compile_tests
from reconciler.policy.vocabulary import compile_attributes, compile_evidence, compile_levels, level_ranks


def policy_digest(files: Mapping[str, bytes]) -> str:
    """``sha256:`` over the files' names and contents, each after its length in eight bytes, in the order of the names.

    Names count from the folder that all files share, so that the same tree has the same digest wherever it lies.
    """
    parts = [name.split("/") for name in files]
    shared = len(posixpath.commonprefix([part[:-1] for part in parts]))
    digest = hashlib.sha256()
    for name, content in sorted(("/".join(name.split("/")[shared:]), content) for name, content in files.items()):
        for part in (name.encode("utf-8", "surrogatepass"), content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def _require_words(documents: Documents, files: Mapping[str, bytes], report: Report) -> None:
    """Without attributes and clearances nothing can be said; what follows from their absence is not said either."""
    place = Place(min(files, default="policies"))
    if not files:
        report.error(
            "empty-policy", "there is no policy file", place, "`reconciler init DIR` writes a set to begin with"
        )
    for section, remedy in (
        (documents.attributes, "declare what HR knows, such as `attributes: {department: {kind: tree}}`"),
        (
            documents.clearances,
            "list the levels, lowest first, such as `clearances: [{public: {}}, {internal: {requires: [nda]}}]`",
        ),
    ):
        if files and section.complete and not section.places:
            report.error("missing-section", f"no file declares any {section.name}", place, remedy)
        section.complete = section.complete and bool(section.places)


def compile_policy(documents: Documents, files: Mapping[str, bytes], revision: str, report: Report) -> Policy:
    """The policy that the documents spell. It is good for nothing where the report holds an error."""
    _require_words(documents, files, report)
    attribute_names, level_names = documents.attributes.names(), documents.clearances.names()
    attributes = compile_attributes(documents.attributes, report)
    matches = MatchReader(attributes, attribute_names, report)
    ranks = level_ranks(documents.clearances)
    evidence = compile_evidence(documents.evidence, attribute_names, matches, report)
    proofs = ProofReader(evidence, documents.evidence, matches, report)
    levels = compile_levels(documents.clearances, proofs, matches)
    compartments = compile_compartments(documents.compartments, proofs, attributes, matches, report)
    words = ResourceWords(ranks, level_names, attribute_names, compartments, matches, report)
    inventory = compile_resources(documents.resources, words)
    resources, families = inventory.resources, inventory.families
    refuse_shared_entitlements(resources, families, report)
    permissions = Permissions(resources, families, documents.resources.names())
    role_words = RoleWords(permissions, attributes, attribute_names, matches, report)
    policy = Policy(
        digest=policy_digest(files),
        revision=revision,
        attributes=attributes,
        evidence=evidence,
        levels=levels,
        resources=resources,
        entitlements=tabulate_entitlements(resources.values()),
        roles=compile_roles(documents.roles, role_words),
        exceptions=compile_exceptions(documents.exceptions, permissions, report),
        lockouts=compile_lockouts(documents.lockouts, permissions, report),
        service_accounts=compile_service_accounts(
            documents.service_accounts, permissions, ranks, level_names, attribute_names, matches, report
        ),
        lifecycle=compile_lifecycle(documents.lifecycle, ranks, level_names, matches, report),
        guards=compile_guards(documents.guards, ranks, level_names, report),
        compartments=compartments.concrete,
        families=families,
    )
    policy = _with_tests(_with_bounds(policy, documents, matches, report), documents, matches, report)
    if not report.failed:
        compartments.warn_of_unused()
    return policy


def _with_bounds(policy: Policy, documents: Documents, matches: MatchReader, report: Report) -> Policy:
    """The policy with what bounds it: separation, sponsors, limits, invariants, and what is retired."""
    ranks, level_names = level_ranks(documents.clearances), documents.clearances.names()
    patterns = PermissionPatterns(policy.resources, policy.families, documents.resources.names())
    retired = compile_retired(documents.retired, policy.entitlements, report)
    bounded = replace(
        policy,
        separations=compile_separations(documents.separation, policy.roles, documents.roles.names(), patterns, report),
        sponsors=compile_sponsors(documents.sponsors, policy.attributes, documents.attributes.names(), matches, report),
        exception_limits=compile_exception_limits(documents.exception_limits, ranks, level_names, report),
        invariants=compile_invariants(documents.invariants, patterns, matches, report),
        retired=retired,
        entitlements={**policy.entitlements, **emptied(retired.values(), len(documents.clearances.places) - 1)},
    )
    check_exception_limits(documents.exceptions, bounded, ranks, report)
    return bounded


def _with_tests(policy: Policy, documents: Documents, matches: MatchReader, report: Report) -> Policy:
    """The policy with its tests, which may speak of all of it."""
    patterns = PermissionPatterns(policy.resources, policy.families, documents.resources.names())
    words = Vocabulary(
        policy,
        documents.attributes.names(),
        documents.evidence.names(),
        documents.separation.names(),
        matches,
        patterns,
        report,
    )
    return replace(policy, tests=compile_tests(documents.tests, words))
