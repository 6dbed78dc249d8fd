"""What is defined by an equation: fixed points, roots, minima.

Nobody differentiates the iterations that found them: where r(x, p) = 0, the implicit function
theorem gives dx/dp = -inv(dr/dx) dr/dp, and that needs r at the solution only.
"""
