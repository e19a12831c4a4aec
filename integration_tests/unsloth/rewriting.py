"""Has Unsloth write its trainers from TRL's text on a machine without a GPU; to be imported before transformers."""

import os
import tempfile

os.environ |= {
    "UNSLOTH_ALLOW_CPU": "1",
    "UNSLOTH_COMPILE_DISABLE": "1",
    "UNSLOTH_COMPILE_LOCATION": tempfile.mkdtemp(prefix="unsloth-"),  # what it writes
    "TORCHDYNAMO_DISABLE": "1",
}
from unsloth import FastLanguageModel, PatchFastRL

os.environ["UNSLOTH_ALLOW_CPU"] = "0"  # with it, Unsloth leaves trainers alone
PatchFastRL("GRPO", FastLanguageModel)
os.environ["UNSLOTH_ALLOW_CPU"] = "1"
