"""The demo: real GRPO on an embedded model, CERO against uniform allocation at the same rollout budget."""
