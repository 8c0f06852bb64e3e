"""An LDIF file (RFC 2849) as a target: an export of a directory that is planned against, rewritten, and brought back.

`document` the file's text, `changes` the file of changes, `files` writing either safely, `contents` the file as a
directory, `target` the target itself.
"""

from adapters.ldif.target import LdifTarget

__all__ = ["LdifTarget"]
