"""One pass: observe, plan, apply, for everybody or for some people. What the command line and the service both call."""

from reconciler.passes.decide import approve
from reconciler.passes.execute import Applied, apply_plan
from reconciler.passes.look import Look, look
from reconciler.passes.wiring import ConfiguredTarget, Wiring

__all__ = ["Applied", "ConfiguredTarget", "Look", "Wiring", "apply_plan", "approve", "look"]
