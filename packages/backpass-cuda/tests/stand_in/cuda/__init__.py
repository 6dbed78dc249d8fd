"""NVIDIA's Python packages, as far as Backpass asks them."""
