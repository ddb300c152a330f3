"""Points on a sphere that one can see: training played back, gradients under the reader's hand, and
no kernel.
"""

from contrastlib.teaching.widgets.gradient_sphere import (
    Scene,
    encoders_gradient_sphere,
    gradient_sphere,
    gradient_sphere_for,
)
from contrastlib.teaching.widgets.training_film import training_film

__all__ = [
    "Scene",
    "encoders_gradient_sphere",
    "gradient_sphere",
    "gradient_sphere_for",
    "training_film",
]
