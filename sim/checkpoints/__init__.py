"""Ternary checkpoints: readers of safetensors and GGUF files, one module per format.

Files are mapped into memory and unpacked some rows at a time; nothing is ever unpickled.
"""

from sim.checkpoints.base import (
    CheckpointError,
    NotTernaryError,
    ScaleConvention,
    Scales,
    TensorReport,
    TernaryTensor,
    examine,
    first_strange,
)
from sim.checkpoints.config import CheckpointConfig, read_config
from sim.checkpoints.gguf.i2s import LAYOUTS, I2sLayout
from sim.checkpoints.layer import TernaryLayer, read_layer
from sim.checkpoints.master import QUANTISERS, Quantise
from sim.checkpoints.matrices import LeftOut, Matrix
from sim.checkpoints.opening import Checkpoint, Reading, open_checkpoint
from sim.checkpoints.packed import PackedTensor, pack_rows, unpack_rows
from sim.checkpoints.storage import MODEL_FILE, read_tensor

__all__ = [
    "LAYOUTS",
    "MODEL_FILE",
    "QUANTISERS",
    "Checkpoint",
    "CheckpointConfig",
    "CheckpointError",
    "I2sLayout",
    "LeftOut",
    "Matrix",
    "NotTernaryError",
    "PackedTensor",
    "Quantise",
    "Reading",
    "ScaleConvention",
    "Scales",
    "TensorReport",
    "TernaryLayer",
    "TernaryTensor",
    "examine",
    "first_strange",
    "open_checkpoint",
    "pack_rows",
    "read_config",
    "read_layer",
    "read_tensor",
    "unpack_rows",
]
