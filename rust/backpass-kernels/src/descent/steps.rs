//! What each optimizer does to an element.

use super::Step;
use crate::real::Real;
use crate::simd::Simd;

/// The gradient with that of the penalty `decay / 2 w^2` added.
#[inline(always)]
fn decayed<T: Real, S: Simd<T>>(s: S, decay: T, w: S::V, g: S::V) -> S::V {
    if decay == T::ZERO { g } else { s.add(s.mul(s.splat(decay), w), g) }
}

/// `keep old + rest new`
#[inline(always)]
fn mixed<T: Real, S: Simd<T>>(s: S, keep: T, old: S::V, rest: T, new: S::V) -> S::V {
    s.add(s.mul(s.splat(keep), old), s.mul(s.splat(rest), new))
}

/// `mean + rest (new - mean)`
#[inline(always)]
fn nearer<T: Real, S: Simd<T>>(s: S, mean: S::V, rest: T, new: S::V) -> S::V {
    s.add(mean, s.mul(s.sub(new, mean), s.splat(rest)))
}

/// Plain gradient descent; of the weights.
#[derive(Clone, Copy, Debug)]
pub struct Descent<T> {
    /// The step's length.
    pub learning_rate: T,
    /// Of the penalty.
    pub weight_decay: T,
}

impl<T: Real> Step<T, 1> for Descent<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [w]: [S::V; 1], g: S::V) -> [S::V; 1] {
        let d = decayed(s, self.weight_decay, w, g);
        [s.sub(w, s.mul(s.splat(self.learning_rate), d))]
    }
}

/// Along the mean of the gradients; of weights and velocities.
#[derive(Clone, Copy, Debug)]
pub struct Momentum<T> {
    /// The step's length.
    pub learning_rate: T,
    /// How much of the velocity is kept.
    pub momentum: T,
    /// How much of the gradient is added.
    pub rest: T,
}

impl<T: Real> Step<T, 2> for Momentum<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [w, v]: [S::V; 2], g: S::V) -> [S::V; 2] {
        let v = mixed(s, self.momentum, v, self.rest, g);
        [s.sub(w, s.mul(s.splat(self.learning_rate), v)), v]
    }
}

/// Along the sum of the gradients; of weights and velocities.
#[derive(Clone, Copy, Debug)]
pub struct Velocity<T> {
    /// The step's length.
    pub learning_rate: T,
    /// How much of the velocity is kept.
    pub momentum: T,
    /// How much of the gradient is added.
    pub rest: T,
    /// Of the penalty.
    pub weight_decay: T,
    /// Whether to look ahead.
    pub nesterov: bool,
}

impl<T: Real> Step<T, 2> for Velocity<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [w, v]: [S::V; 2], g: S::V) -> [S::V; 2] {
        let d = decayed(s, self.weight_decay, w, g);
        let v = mixed(s, self.momentum, v, self.rest, d);
        let along = if self.nesterov { s.add(d, s.mul(s.splat(self.momentum), v)) } else { v };
        [s.sub(w, s.mul(s.splat(self.learning_rate), along)), v]
    }
}

/// Adam; of weights, means, squares and, if kept, the largest squares.
#[derive(Clone, Copy, Debug)]
pub struct Adam<T> {
    /// The step's length, over what the mean lacks.
    pub length: T,
    /// 1 over the root of what the square lacks.
    pub spread: T,
    /// 1 - beta1
    pub rest1: T,
    /// How much of the square is kept.
    pub beta2: T,
    /// 1 - beta2
    pub rest2: T,
    /// Keeps the step finite.
    pub eps: T,
    /// Of the penalty.
    pub weight_decay: T,
    /// How much of the weights is kept.
    pub keep: T,
}

impl<T: Real> Adam<T> {
    /// The new mean and the new square.
    #[inline(always)]
    fn moments<S: Simd<T>>(self, s: S, w: S::V, m: S::V, v: S::V, g: S::V) -> (S::V, S::V) {
        let d = decayed(s, self.weight_decay, w, g);
        (nearer(s, m, self.rest1, d), mixed(s, self.beta2, v, self.rest2, s.mul(d, d)))
    }

    /// The new weights.
    #[inline(always)]
    fn moved<S: Simd<T>>(self, s: S, w: S::V, m: S::V, v: S::V) -> S::V {
        let root = s.add(s.mul(s.sqrt(v), s.splat(self.spread)), s.splat(self.eps));
        let t = s.mul(s.div(m, root), s.splat(self.length));
        s.sub(s.mul(w, s.splat(self.keep)), t)
    }
}

impl<T: Real> Step<T, 3> for Adam<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [w, m, v]: [S::V; 3], g: S::V) -> [S::V; 3] {
        let (m, v) = self.moments(s, w, m, v, g);
        [self.moved(s, w, m, v), m, v]
    }
}

impl<T: Real> Step<T, 4> for Adam<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [w, m, v, top]: [S::V; 4], g: S::V) -> [S::V; 4] {
        let (m, v) = self.moments(s, w, m, v, g);
        let top = s.select(s.is_nan(top), top, s.max(top, v));
        [self.moved(s, w, m, top), m, v, top]
    }
}

/// `RMSprop`; of weights, squares, means if centered, and velocities if there is momentum.
#[derive(Clone, Copy, Debug)]
pub struct RmsProp<T> {
    /// The step's length.
    pub learning_rate: T,
    /// How much of the square is kept.
    pub alpha: T,
    /// 1 - alpha
    pub rest: T,
    /// Keeps the step finite.
    pub eps: T,
    /// Of the penalty.
    pub weight_decay: T,
    /// How much of the velocity is kept.
    pub momentum: T,
    /// Whether the third array is a mean.
    pub centered: bool,
    /// Whether the last array is a velocity.
    pub moving: bool,
}

impl<T: Real, const W: usize> Step<T, W> for RmsProp<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, own: [S::V; W], g: S::V) -> [S::V; W] {
        let mut new = own;
        let d = decayed(s, self.weight_decay, own[0], g);
        let v = mixed(s, self.alpha, own[1], self.rest, s.mul(d, d));
        new[1] = v;
        let mut spread = v;
        if self.centered {
            let mean = nearer(s, own[2], self.rest, d);
            new[2] = mean;
            // Where every gradient is the same, rounding may leave less than nothing; nan stays.
            spread = s.max(s.splat(T::ZERO), s.sub(v, s.mul(mean, mean)));
        }
        let mut along = s.div(d, s.add(s.sqrt(spread), s.splat(self.eps)));
        if self.moving {
            along = s.add(s.mul(own[W - 1], s.splat(self.momentum)), along);
            new[W - 1] = along;
        }
        new[0] = s.sub(own[0], s.mul(along, s.splat(self.learning_rate)));
        new
    }
}

/// Adagrad; of weights and sums of squares.
#[derive(Clone, Copy, Debug)]
pub struct Adagrad<T> {
    /// The step's length.
    pub learning_rate: T,
    /// Keeps the step finite.
    pub eps: T,
    /// Of the penalty.
    pub weight_decay: T,
}

impl<T: Real> Step<T, 2> for Adagrad<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [w, sum]: [S::V; 2], g: S::V) -> [S::V; 2] {
        let d = decayed(s, self.weight_decay, w, g);
        let sum = s.add(sum, s.mul(d, d));
        let t = s.div(d, s.add(s.sqrt(sum), s.splat(self.eps)));
        [s.sub(w, s.mul(t, s.splat(self.learning_rate))), sum]
    }
}

/// Lion; of weights and momenta.
#[derive(Clone, Copy, Debug)]
pub struct Lion<T> {
    /// The step's length.
    pub learning_rate: T,
    /// How much of the momentum the step's direction has.
    pub beta1: T,
    /// 1 - beta1
    pub rest1: T,
    /// How much of the momentum is kept.
    pub beta2: T,
    /// 1 - beta2
    pub rest2: T,
    /// How much of the weights is kept.
    pub keep: T,
}

impl<T: Real> Step<T, 2> for Lion<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [w, m]: [S::V; 2], g: S::V) -> [S::V; 2] {
        let along = mixed(s, self.beta1, m, self.rest1, g);
        let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
        // 0 and nan are what they are.
        let sign = s.select(s.lt(zero, along), one, along);
        let sign = s.select(s.lt(along, zero), s.neg(one), sign);
        let kept = s.mul(w, s.splat(self.keep));
        let w = s.sub(kept, s.mul(sign, s.splat(self.learning_rate)));
        [w, mixed(s, self.beta2, m, self.rest2, g)]
    }
}

/// Towards the weights; of running means, with the weights for gradients.
#[derive(Clone, Copy, Debug)]
pub struct Average<T> {
    /// How much of the weights comes in.
    pub rest: T,
}

impl<T: Real> Step<T, 1> for Average<T> {
    #[inline(always)]
    fn take<S: Simd<T>>(self, s: S, [mean]: [S::V; 1], w: S::V) -> [S::V; 1] {
        [nearer(s, mean, self.rest, w)]
    }
}
