"""What holds for all tests: none measures time, so that a law holds on a slow machine too."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("timeless", parent=settings(), deadline=None)
settings.load_profile("timeless")
