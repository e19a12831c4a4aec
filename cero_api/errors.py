"""Everything this library refuses or warns of, each a builtin too, each message ending with what to do."""

from __future__ import annotations


class CeroError(Exception):
    """Base of every error raised on purpose by this library."""


class CeroWarning(UserWarning):
    """Something that works and can hardly be meant; the message ends with what to do."""


class ConfigurationError(CeroError, ValueError):
    """A configuration that cannot work: an unknown name, a value out of range, an infeasible budget."""


class BudgetError(CeroError, ValueError):
    """A round that cannot be dealt: more rollouts than remain, or than floors and caps allow."""


class PilotError(CeroError, RuntimeError):
    """The two waves of a round in the wrong order: a rest that is asked for too early or twice, or never was."""


class PromptError(CeroError, LookupError):
    """A prompt that the pool does not know, or the same one twice."""


class InvalidOutcomeError(CeroError, ValueError):
    """Rewards or outcomes that cannot be booked: NaN, wrong shape, never allocated, reported twice."""


class CheckpointError(CeroError, ValueError):
    """A saved state that is torn, foreign, or of another pool, allocator or version."""


class TraceError(CeroError, ValueError):
    """A recorded run that cannot be read or continued; names the file, the line and the reason."""


class MissingDependencyError(CeroError, ImportError):
    """An optional package is needed and not installed."""
