"""What comes with us for authors of adapters."""
