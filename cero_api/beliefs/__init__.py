"""What is expected of a prompt, and how sure: of its rewards, and of the length of its rollouts."""

from cero_api.beliefs.base import Belief, Expectation, Results
from cero_api.beliefs.beta import BetaBelief
from cero_api.beliefs.features import Features
from cero_api.beliefs.lengths import LengthBelief
from cero_api.beliefs.offline import OfflineRates
from cero_api.beliefs.shared import SharedBelief

__all__ = [
    "Belief",
    "BetaBelief",
    "Expectation",
    "Features",
    "LengthBelief",
    "OfflineRates",
    "Results",
    "SharedBelief",
]
