"""Systems without an interface as targets: each change becomes a work order for a person."""

from adapters.work_order.target import WorkOrderTarget

__all__ = ["WorkOrderTarget"]
