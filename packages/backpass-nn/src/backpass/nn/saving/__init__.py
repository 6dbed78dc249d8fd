"""Saving weights and whole trainings in safetensors files, and going on from them."""

from backpass.nn.saving.checkpoints import (
    Checkpoint,
    Checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from backpass.nn.saving.files import CorruptFileError
from backpass.nn.saving.weights import load, load_into, load_metadata, save

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "CorruptFileError",
    "load",
    "load_checkpoint",
    "load_into",
    "load_metadata",
    "save",
    "save_checkpoint",
]
