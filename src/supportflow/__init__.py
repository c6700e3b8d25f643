"""Customer support over social media as a library."""

__version__ = "0.1.0"
