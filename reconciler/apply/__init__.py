"""Carries a plan out: order, batches, the journal of intents and outcomes, crash recovery, verification."""
