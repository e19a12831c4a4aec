"""What every adapter needs, whatever its trainer: versions, the guard, defaults, and what a round says of itself."""

from cero_api.adapting.defaults import RoundShape, allocator_fields, refuse_other_offer, scope_of
from cero_api.adapting.guard import check_attributes, check_upstream, plain
from cero_api.adapting.identity import name_of, run_identity
from cero_api.adapting.idle import idle_reasons, warn_of_idleness
from cero_api.adapting.judging import Judge, refuse_other_rule, said_rule
from cero_api.adapting.known import (
    SOURCES,
    by_features,
    features_help,
    informed_fields,
    prompt_features,
    refuse_other_knowledge,
    told_before,
)
from cero_api.adapting.rounds import round_numbers
from cero_api.adapting.starting import Limits, informed, limits, start_line
from cero_api.adapting.versions import TRAINERS, Supported
from cero_api.adapting.watching import RewardWatch
from cero_api.continuing import differences

__all__ = [
    "SOURCES",
    "TRAINERS",
    "Judge",
    "Limits",
    "RewardWatch",
    "RoundShape",
    "Supported",
    "allocator_fields",
    "by_features",
    "check_attributes",
    "check_upstream",
    "differences",
    "features_help",
    "idle_reasons",
    "informed",
    "informed_fields",
    "limits",
    "name_of",
    "plain",
    "prompt_features",
    "refuse_other_knowledge",
    "refuse_other_offer",
    "refuse_other_rule",
    "round_numbers",
    "run_identity",
    "said_rule",
    "scope_of",
    "start_line",
    "told_before",
    "warn_of_idleness",
]
