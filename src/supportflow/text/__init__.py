"""Words as data: what every text passes before it is stored, compared or counted."""

from supportflow.text.normalise import skeleton, storable

__all__ = ["skeleton", "storable"]
