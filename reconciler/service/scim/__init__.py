"""Inbound SCIM 2.0 (RFC 7643, RFC 7644): directories and HR suites push people, and what they say becomes facts."""

from reconciler.service.scim.router import LARGEST_BODY, Scim, scim_router

__all__ = ["LARGEST_BODY", "Scim", "scim_router"]
