"""Which prompts a round may choose from: a loader's batch, a window on a walk through the pool, or all of it."""

from cero_api.offers.rest import Parted, Rest, RestState
from cero_api.offers.window import Offered, width, window

__all__ = ["Offered", "Parted", "Rest", "RestState", "width", "window"]
