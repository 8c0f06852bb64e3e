"""Word to people: what somebody should know of is decided from what passes came to, kept until it is said, and said by
mail, by a signed webhook or by the robot of a group chat.
"""

from reconciler.notifications.notifier import Notifier, channel_of, sender_of

__all__ = ["Notifier", "channel_of", "sender_of"]
