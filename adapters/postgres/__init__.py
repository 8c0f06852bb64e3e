"""A PostgreSQL server as a target: membership in roles, and rights on databases, schemas and tables.

`settings` what may be configured, `session` the connection and what its errors mean, `entitlements` what a policy can
name and how it is said in SQL, `catalog` the questions to the server's catalogue, `reading` an observation, `writing`
grants and revocations, `accounts` locking and ending sessions, `target` the target itself.
"""

from adapters.postgres.target import PostgresTarget

__all__ = ["PostgresTarget"]
