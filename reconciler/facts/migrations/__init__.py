"""The store's schema, step by step. `env.py` is Alembic's entry; each file in `versions` is one step, for good."""
