"""Puts the config group `rollout_allocator` where Hydra looks for it, in every application of the environment."""

import sys

# Hydra imports the modules of this namespace when an application starts, and its config store is always searched, so
# no plugin class is needed.
try:
    from cero_verl.flag import register_groups, watch_for_near_misses

    register_groups()
    watch_for_near_misses()
except ImportError as error:
    # Hydra would only warn, take the flag for a new key, and verl would train without an allocator.
    if any("rollout_allocator" in argument for argument in sys.argv):
        hint = 'in a clone of cero-api: pip install ".[verl]"'
        raise RuntimeError(f"cero-api is installed in part only: {error}; {hint}") from error
    raise
