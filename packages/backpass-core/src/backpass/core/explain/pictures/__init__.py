"""Pictures of graphs: boxes with values and gradients, as SVG, PNG, DOT and Mermaid."""

from backpass.core.explain.pictures.picture import Picture

__all__ = ["Picture"]
