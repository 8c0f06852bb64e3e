"""Asking somebody's JSON API over HTTP, and believing only what it says: what people sources and targets share.

`settings` what may be configured of a connection and of pages, `client` the one module that knows an HTTP library,
`json_values` JSON and what stands at a dotted path, `words` what an answer says of itself, `walk` from page to page,
`trouble` what may go wrong.
"""
