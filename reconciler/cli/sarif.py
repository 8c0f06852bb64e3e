"""Problems of policies as SARIF 2.1.0 (OASIS), which code-scanning services show at their lines in a pull request."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from reconciler import __version__
from reconciler.errors import Problem

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def sarif(problems: Sequence[Problem], folder: Path, root: Path) -> dict[str, object]:
    """One run with one result for each problem. Places are relative to `folder`, and are told relative to `root`."""

    def uri(file: str) -> str:
        path = os.path.normpath(os.path.relpath((folder / file).absolute(), root.absolute()))
        return quote(Path(path).as_posix())

    codes = sorted({problem.code for problem in problems})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "permission-reconciler",
                        "semanticVersion": __version__,
                        "rules": [_rule(code, problems) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem, codes.index(problem.code), uri) for problem in problems],
            }
        ],
    }


def _rule(code: str, problems: Sequence[Problem]) -> dict[str, object]:
    first = next(problem for problem in problems if problem.code == code)
    return {
        "id": code,
        "shortDescription": {"text": code.replace("-", " ")},
        "help": {"text": first.remedy or "See the message."},
        "defaultConfiguration": {"level": _level(first)},
    }


def _result(problem: Problem, rule: int, uri: Callable[[str], str]) -> dict[str, object]:
    text = f"{problem.message}\n{problem.remedy}" if problem.remedy else problem.message
    region = {"startLine": max(problem.place.line, 1), "startColumn": max(problem.place.column, 1)}
    told = f"{problem.code}\0{problem.place.file}\0{problem.message}".encode()
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": _level(problem),
        "message": {"text": text},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": uri(problem.place.file)}, "region": region}},
        ],
        # The line is not part of it: a problem that only moved is the same one.
        "partialFingerprints": {"problem/v1": hashlib.sha256(told).hexdigest()},
    }


def _level(problem: Problem) -> str:
    return "error" if problem.severity == "error" else "warning"
