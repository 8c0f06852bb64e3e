"""A document system whose permissions pycasbin enforces; the target is its policy store, a CSV file or a SQL table.

`model` says which casbin models are understood, `rules` what a store's lines mean and what a batch of steps changes in
them, `file_store` and `sql_store` read and write them, `reading` tells an observation from them, and `target` fulfils
the contract. Lines are read by casbin's own reader, so that what is seen here is what the enforcer sees.
"""

from adapters.casbin.target import CasbinTarget

__all__ = ["CasbinTarget"]
