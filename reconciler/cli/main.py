"""The entry point: the group of commands, and the one place where errors end."""

from __future__ import annotations

import os
import sys

import click

from reconciler import __version__
from reconciler.cli.commands import Commands
from reconciler.cli.endings import Exit, tell
from reconciler.errors import ReconcilerError

EPILOG = """\b
A first day with it:
  reconciler init acme && cd acme       a workspace with the starter policies
  reconciler check                      are the policies right?
  reconciler people import hr.csv       who works here
  reconciler evidence import proofs.csv what they have signed, passed, learned
  reconciler plan                       what would change (nothing does)
  reconciler approve DIGEST --reason …  release what a guard holds
  reconciler apply                      carry it out, on record

Exit status: 0 done or in sync · 1 error, nothing done · 2 changes pending, or no (only with --detailed-exitcode) ·
3 something is held or waits for a decision · 4 some changes failed · 64 wrong usage.
"""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="reconciler")
def group() -> None:
    """Who may open which documents now, by the policies in git and the facts on record, made true and kept true.

    Compares desired with actual access in LDAP and the document systems, and applies grants and revocations when
    people join, move and leave.
    """


def main() -> None:
    """Run the command line; never shows a traceback for a person's own mistake."""
    as_json = ("json" in sys.argv and "--output" in sys.argv) or "--output=json" in sys.argv
    try:
        status = group.main(standalone_mode=False)
    except click.exceptions.Abort:
        status = 130
    except click.UsageError as error:
        error.show()
        status = Exit.USAGE
    except click.ClickException as error:
        error.show()
        status = Exit.ERROR
    except ReconcilerError as error:
        tell(error, as_json=as_json)
        status = error.exit_status
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said, not even by Python on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = Exit.ERROR
    sys.exit(int(status or 0))
