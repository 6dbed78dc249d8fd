"""Linear algebra over stacks of matrices: the primitives, their rules, NumPy's and SciPy's names.

Two things hold throughout.  A rule is the transposed map of the derivative, so it has transposes
where the books, which conjugate their cotangents, have adjoints.  And a function that reads one
triangle of its matrix (`cholesky`, `eigh`) has its derivative there, with 0 in the other triangle.
"""
