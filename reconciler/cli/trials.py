"""The command `test`: runs the tests that stand beside the policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

import click
from rich.text import Text

from reconciler.access.coverage import Coverage
from reconciler.access.trial import TrialResult, TrialRun, run_trials
from reconciler.cli.endings import Exit, end
from reconciler.cli.shell import Shell, shared
from reconciler.errors import Place, ReconcilerError


class NoTests(ReconcilerError):
    """There is no policy test: a check that looks at nothing is not one that passes."""

    code = "no-tests"


@click.command()
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write a JUnit report.")
@click.option("--min-coverage", type=click.FloatRange(0, 100), metavar="PERCENT", help="Fail below this coverage.")
@shared
def test(shell: Shell, junit: Path | None, min_coverage: float | None) -> None:
    """Run the tests that stand beside the policies (`tests:` sections), and say what no test tries.

    \b
      reconciler test
      reconciler test --junit report.xml --min-coverage 80

    Each supposes a person, assignments, evidence and a day, and says what they can, cannot, or are withheld and why.
    No record, no target and no real person is needed. Ends with 1 where an expectation is not met, or where there is
    no test at all.
    """
    workspace = shell.workspace()
    run = run_trials(workspace.policy(), workspace.spec.timezone)
    if not run.results:
        text = "no policy file has a `tests:` section with a test in it"
        raise NoTests(text, place=Place(workspace.spec.policies[0]), remedy="write one; see docs/policy-tests.md")
    if junit is not None:
        _write(junit, run)
    covered = percent(run.coverage)
    if shell.as_json:
        shell.give(_json(run, covered))
    else:
        shell.say(*_lines(run, covered, verbose=bool(shell.verbose)))
    below = min_coverage is not None and covered < min_coverage
    if below:
        shell.note(f"coverage is {covered:.0f} %, and {min_coverage:g} % is asked for")
    end(Exit.ERROR if run.failed or below else Exit.DONE)


def percent(coverage: Coverage) -> float:
    """How much of what could be tried is; 100 where there is nothing to try."""
    tried = coverage.clauses - len(coverage.untried)
    return 100 * tried / coverage.clauses if coverage.clauses else 100.0


def _lines(run: TrialRun, covered: float, *, verbose: bool) -> Iterator[Text]:
    for _, results in groupby(run.results, key=lambda result: id(result.test)):
        yield from _test(list(results))
    untried = run.coverage.untried
    for each in untried if verbose else untried[:10]:
        yield Text(f"{each.place}: {each.part.value} {each.name}: {each.text}", style="yellow")
    if len(untried) > 10 and not verbose:
        yield Text(f"… and {len(untried) - 10} more that no test tries (all of them: --verbose)", style="dim")
    tests = len({id(result.test) for result in run.results})
    failed = len(run.failed)
    verdict = f"{tests} test{'' if tests == 1 else 's'}, {len(run.results)} expectations: "
    verdict += f"{failed} not met" if failed else "all met"
    tried = run.coverage.clauses - len(untried)
    verdict += f"; {tried} of {run.coverage.clauses} clauses tried ({covered:.0f} %)."
    yield Text(verdict, style="bold red" if failed else "bold green")


def _test(results: Sequence[TrialResult]) -> Iterator[Text]:
    test, failed = results[0].test, [result for result in results if not result.passed]
    yield Text(f"{'✗' if failed else '✓'} {test.name}", style="red" if failed else "green")
    for result in failed:
        line = Text(f"    {result.expectation.place}: {_asked(result)}: ", style="bold")
        line.append(result.text)
        yield line


def _asked(result: TrialResult) -> str:
    expectation = result.expectation
    if expectation.withheld is not None:
        return f"{expectation.permission} withheld for {', '.join(expectation.withheld)}"
    return f"{'can' if expectation.can else 'cannot'} {expectation.permission}"


def _json(run: TrialRun, covered: float) -> dict[str, object]:
    return {
        "ok": not run.failed,
        "results": [
            {
                "test": result.test.name,
                "expectation": _asked(result),
                "permission": str(result.expectation.permission),
                "place": str(result.expectation.place),
                "passed": result.passed,
                "text": result.text or None,
            }
            for result in run.results
        ],
        "coverage": {
            "clauses": run.coverage.clauses,
            "percent": round(covered, 1),
            "untried": [
                {"part": one.part.value, "name": one.name, "place": str(one.place), "text": one.text}
                for one in run.coverage.untried
            ],
        },
    }


def _write(file: Path, run: TrialRun) -> None:
    """A JUnit report: a suite for each test, a case for each expectation."""
    root = ElementTree.Element("testsuites", {"name": "policies", **_counts(run.results)})
    for _, group in groupby(run.results, key=lambda result: id(result.test)):
        results = list(group)
        suite = ElementTree.SubElement(root, "testsuite", {"name": results[0].test.name, **_counts(results)})
        for result in results:
            place = result.expectation.place
            case = ElementTree.SubElement(
                suite, "testcase", name=_asked(result), classname=place.file, file=place.file, line=str(place.line)
            )
            if not result.passed:
                failure = ElementTree.SubElement(case, "failure", message=result.text)
                failure.text = f"{place}: {result.text}"
    try:
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        text = f"the report cannot be written: {error.strerror or error}"
        raise ReconcilerError(
            text, place=Place(str(file)), remedy="name a file in a folder that can be written"
        ) from None


def _counts(results: Sequence[TrialResult]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(not result.passed for result in results)),
        "errors": "0",
        "skipped": "0",
    }
