"""Linear algebra, differentiable."""

__all__: list[str] = []
