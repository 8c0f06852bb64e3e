"""Loads all that any command needs, in the process that `tests.cli.forked` forks commands from."""

import importlib
import pkgutil
from importlib.metadata import entry_points

import reconciler.cli

for module in pkgutil.iter_modules(reconciler.cli.__path__, "reconciler.cli."):
    importlib.import_module(module.name)
for group in ("reconciler.targets", "reconciler.sources"):
    for point in entry_points(group=group):
        point.load()
