//! The order that sorts numbers: the least first, equal ones as they come, nan last.
//!
//! A radix sort, least significant digit first, of keys whose upper half is made of a number's bits
//! and whose lower half is its place.

use crate::pool::Scratch;
use crate::real::Real;

/// Up to so many keys are compared.
const FEW: usize = 1024;
/// Bits of a digit.
const DIGIT: u32 = 11;
/// Where the digits of a key begin.
const SHIFTS: [u32; 3] = [32, 32 + DIGIT, 32 + 2 * DIGIT];

/// Sorts keys whose lower halves rise by their upper halves; `spare` is as long.
fn sort(keys: &mut [u64], spare: &mut [u64]) {
    if keys.len() <= FEW {
        return keys.sort_unstable();
    }
    let digit = |key: u64, d: usize| (key >> SHIFTS[d]) as usize & ((1 << DIGIT) - 1);
    let mut counts = vec![[0u32; 1 << DIGIT]; SHIFTS.len()];
    for &key in keys.iter() {
        for (d, counts) in counts.iter_mut().enumerate() {
            counts[digit(key, d)] += 1;
        }
    }
    let (mut from, mut to, mut moved) = (keys, spare, false);
    for (d, counts) in counts.iter_mut().enumerate() {
        if counts[digit(from[0], d)] as usize == from.len() {
            continue; // all alike
        }
        let mut next = 0;
        for count in counts.iter_mut() {
            next += std::mem::replace(count, next);
        }
        for &key in from.iter() {
            let place = &mut counts[digit(key, d)];
            to[*place as usize] = key;
            *place += 1;
        }
        (from, to) = (to, from);
        moved = !moved;
    }
    if moved {
        to.copy_from_slice(from);
    }
}

/// A number's bits in the order of the numbers: both zeros alike, every nan the greatest.
fn rank<T: Real>(x: T) -> u64 {
    let x = x.wide();
    if x.is_nan() {
        return u64::MAX;
    }
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The same in half as many bits, for a number that is one of float32.
fn short_rank(x: f64) -> u64 {
    if x.is_nan() {
        return u64::from(u32::MAX);
    }
    let bits = (x as f32 + 0.0).to_bits();
    u64::from(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
}

/// The most numbers that can be sorted.
pub const MOST: usize = u32::MAX as usize;

/// The order that sorts each of `rows` rows of `n <= MOST` numbers, into `out`.
///
/// # Safety
///
/// `x` and `out` have the rows.
pub unsafe fn sorted_order<T: Real>(rows: usize, n: usize, x: *const T, out: *mut isize) {
    let single = size_of::<T>() == 4;
    let room = Scratch::<u64>::new(2 * n);
    for r in 0..rows {
        // SAFETY: within the rows and the scratch, every element of which is written before it is
        // read.
        let (x, out, keys, spare) = unsafe {
            let keys = room.as_ptr();
            keys.write_bytes(0, 2 * n);
            (
                std::slice::from_raw_parts(x.add(r * n), n),
                std::slice::from_raw_parts_mut(out.add(r * n), n),
                std::slice::from_raw_parts_mut(keys, n),
                std::slice::from_raw_parts_mut(keys.add(n), n),
            )
        };
        for (i, (key, &x)) in keys.iter_mut().zip(x).enumerate() {
            let high = if single { short_rank(x.wide()) } else { rank(x) >> 32 };
            *key = high << 32 | i as u64;
        }
        sort(keys, spare);
        if !single {
            // Those whose upper bits are equal are sorted by the lower ones.
            let mut start = 0;
            while start < n {
                let high = keys[start] >> 32;
                let alike = keys[start..].iter().take_while(|&&key| key >> 32 == high).count();
                if alike > 1 {
                    let part = &mut keys[start..start + alike];
                    for key in part.iter_mut() {
                        let place = *key & u64::from(u32::MAX);
                        *key = rank(x[place as usize]) << 32 | place;
                    }
                    sort(part, &mut spare[..alike]);
                }
                start += alike;
            }
        }
        for (out, &key) in out.iter_mut().zip(keys.iter()) {
            *out = (key & u64::from(u32::MAX)) as isize;
        }
    }
}
