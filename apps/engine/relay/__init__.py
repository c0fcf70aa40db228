"""The relay: takes commands from the outbox and sends them to Temporal."""

from apps.engine.relay.config import Limits
from apps.engine.relay.relay import Relay
from apps.engine.relay.state import Lag, lag

__all__ = ["Lag", "Limits", "Relay", "lag"]
