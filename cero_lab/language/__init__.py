"""GRPO on a published language model, SmolLM2-135M-Instruct, after a supervised warm start: for a GPU."""
