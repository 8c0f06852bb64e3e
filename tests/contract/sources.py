"""The source contract under its former name; it is in `reconciler.testing.sources`."""

from reconciler.testing.sources import *  # noqa: F403
