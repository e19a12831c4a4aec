"""Puts the config group `rollout_allocator` on Hydra's search path, in every application of the environment."""

from cero_verl.flag import register_groups

# Hydra imports the modules of this namespace when an application starts, and its config store is always searched, so
# no plugin class is needed.
register_groups()
