"""Desired access and explanations."""
