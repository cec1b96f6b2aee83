"""Ternary checkpoints: readers of safetensors and GGUF files, one module per format.

Files are mapped into memory and unpacked some rows at a time; nothing is ever unpickled.
"""

from sim.checkpoints.base import (
    CheckpointError,
    ScaleConvention,
    Scales,
    TensorReport,
    TernaryTensor,
    examine,
    first_strange,
)
from sim.checkpoints.config import CheckpointConfig, read_config
from sim.checkpoints.gguf.i2s import LAYOUTS, I2sLayout
from sim.checkpoints.opening import Checkpoint, open_checkpoint
from sim.checkpoints.packed import (
    PackedTensor,
    TernaryLayer,
    list_layers,
    pack_rows,
    read_layer,
    unpack_rows,
)
from sim.checkpoints.storage import MODEL_FILE, read_tensor

__all__ = [
    "LAYOUTS",
    "MODEL_FILE",
    "Checkpoint",
    "CheckpointConfig",
    "CheckpointError",
    "I2sLayout",
    "PackedTensor",
    "ScaleConvention",
    "Scales",
    "TensorReport",
    "TernaryLayer",
    "TernaryTensor",
    "examine",
    "first_strange",
    "list_layers",
    "open_checkpoint",
    "pack_rows",
    "read_config",
    "read_layer",
    "read_tensor",
    "unpack_rows",
]
