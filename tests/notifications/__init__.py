"""Tests of reconciler.notifications."""
