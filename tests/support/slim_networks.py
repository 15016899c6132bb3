"""Networks as they are used, in their full depth, but slim and on small maps of sizes that nothing divides."""

from collections.abc import Mapping
from typing import Any

SLIM: Mapping[str, Mapping[str, Any]] = {
    "efficientnet": {"size": 71, "width": 67, "width_factor": 0.25},
    "mobilenetv3": {"size": 75, "width": 67, "width_factor": 0.25, "batch": 3},
    "shufflenetv2": {"size": 71, "width": 67, "width_factor": 0.25},
    "regnet": {"size": 75, "width": 67, "width_factor": 0.25, "batch": 3},
    "convnext": {"size": 71, "width": 67, "width_factor": 0.125},
    "googlenet": {"size": 75, "width": 67, "width_factor": 0.25, "batch": 3},
    "densenet121": {"size": 71, "width": 67, "width_factor": 0.25},
    "yolo": {"size": 75, "width": 67, "width_factor": 0.25, "batch": 3},
    "deeplab": {"size": 71, "width": 67, "width_factor": 0.125},
    "unet": {"size": 37, "width": 67, "width_factor": 0.125, "batch": 3},
    "edsr": {"size": 23, "width": 17, "width_factor": 0.25},
    "style": {"size": 29, "width": 34, "width_factor": 0.25, "batch": 3},
    "m5": {"size": 2111, "width_factor": 0.25, "batch": 3},
    "wav2vec": {"size": 1001, "width_factor": 0.125},
}
"""Options of the zoo's models. Most maps are as wide as others, since kernels are compiled for widths."""
