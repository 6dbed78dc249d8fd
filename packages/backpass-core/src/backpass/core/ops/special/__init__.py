"""Functions of `scipy.special`, one family a file."""
