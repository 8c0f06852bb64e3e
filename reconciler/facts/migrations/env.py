"""Alembic's entry: runs the steps on the connection that `reconciler.facts.store` hands over, in its transaction."""

from alembic import context

from reconciler.facts.store import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
