//! Random bits that are a function of a key and a place: Philox4x32-10.
//!
//! Number `i` of n, with `m = ceil(n / 4)`, is word `i / m` of the counter `i % m`.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3,
//! SC 2011.

const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the halves of the key after each round.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
const LOW: u64 = 0xFFFF_FFFF;

/// The key of each round, and the upper half of the counters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Philox {
    rounds: [[u64; 2]; ROUNDS],
    count: [u64; 2],
}

impl Philox {
    /// For a seed and a counter.
    pub fn new([seed, count]: [u64; 2]) -> Self {
        let mut rounds = [[0; 2]; ROUNDS];
        let mut key = [seed as u32, (seed >> 32) as u32];
        for slot in &mut rounds {
            *slot = key.map(u64::from);
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        Self { rounds, count: [count & LOW, count >> 32] }
    }

    /// The four words of the counter `index`.
    ///
    /// Every word is cut to its lower half where it is multiplied, and so a multiplication is one
    /// instruction a vector.
    #[inline(always)]
    pub fn words(&self, index: u64) -> [u64; 4] {
        let [mut a, mut b, mut c, mut d] = [index, index >> 32, self.count[0], self.count[1]];
        for key in &self.rounds {
            let (p, q) = ((a & LOW) * MULTIPLIERS[0], (c & LOW) * MULTIPLIERS[1]);
            (a, b, c, d) = ((q >> 32) ^ b ^ key[0], q, (p >> 32) ^ d ^ key[1], p);
        }
        [a & LOW, b & LOW, c & LOW, d & LOW]
    }
}
