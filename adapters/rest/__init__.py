"""People from an HR system's JSON API.

`settings` what may be configured, `answers` where things stand in a page, `changes` going on from an earlier delivery,
`source` the source itself. How an API is asked, and how one gets from page to page, is in `adapters.api`.
"""

from adapters.rest.source import RestSource

__all__ = ["RestSource"]
