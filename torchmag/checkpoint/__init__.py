"""Checkpoints: files, training loops, functions whose results are kept."""

from torchmag.checkpoint.file import load, load_newest, save
from torchmag.checkpoint.remembered import Remembered
from torchmag.checkpoint.resuming import resuming
from torchmag.checkpoint.signals import Interrupted, Occasions, interruptible
from torchmag.checkpoint.training import Checkpoint

__all__ = ["Checkpoint", "Interrupted", "Occasions", "Remembered", "interruptible", "load", "load_newest", "resuming", "save"]
