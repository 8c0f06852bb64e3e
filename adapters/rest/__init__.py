"""People from an HR system's JSON API.

`settings` what may be configured, `client` the one module that knows an HTTP library, `json_values` JSON and what
stands at a dotted path, `answers` what one page says, `walk` from page to page, `changes` going on from an earlier
delivery, `source` the source itself.
"""

from adapters.rest.source import RestSource

__all__ = ["RestSource"]
