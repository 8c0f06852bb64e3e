"""Policy-as-code permission reconciler: who may open which documents now, made true and kept on record."""

__version__ = "0.1.0"
