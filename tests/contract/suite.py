"""The target contract under its former name; it is in `reconciler.testing.targets`."""

from reconciler.testing.targets import *  # noqa: F403
