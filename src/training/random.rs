//! Random streams for the host's part of training, from the same counter-based generator as the device's.

use percuss_kernels::ops::threefry2x32;

/// Numbers that depend only on a seed and on what they are for (an epoch, a sample, a tensor's name).
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    block: u64,
    spare: Option<u32>,
}

impl Stream {
    /// The stream of `seed` for `purpose`, a path of numbers: each step of it makes a new key from the one before.
    pub fn new(seed: u64, purpose: &[u64]) -> Self {
        let key = purpose.iter().fold(words(seed), |key, &part| threefry2x32(key, words(part)));
        Self { key, block: 0, spare: None }
    }

    /// The next 32 bits.
    pub fn bits(&mut self) -> u32 {
        if let Some(word) = self.spare.take() {
            return word;
        }
        let [first, second] = threefry2x32(self.key, words(self.block));
        self.block += 1;
        self.spare = Some(second);
        first
    }

    /// Uniform on `[0, 1)`: a multiple of 2^-24, exact in f32.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform on `[-1, 1)`.
    pub fn signed(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }

    /// A whole number below `n` (which must be positive); the bias is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        let bits = u64::from(self.bits()) << 32 | u64::from(self.bits());
        ((u128::from(bits) * n as u128) >> 64) as usize
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - f64::from(self.unit())).ln()).sqrt();
        (radius * (std::f64::consts::TAU * f64::from(self.unit())).cos()) as f32
    }
}

/// A number for a name: its FNV-1a hash.
pub fn name_number(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The numbers 0 to n - 1 in the order of `epoch` (Fisher and Yates).
pub fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut stream = Stream::new(seed, &[name_number("order"), epoch]);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, stream.below(last + 1));
    }
    order
}

fn words(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_number_and_depends_on_seed_and_epoch() {
        let order = permutation(1000, 7, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(i, &value)| i == value));
        assert_eq!(order, permutation(1000, 7, 3));
        assert_ne!(order, permutation(1000, 7, 4));
        assert_ne!(order, permutation(1000, 8, 3));
        assert!(permutation(0, 1, 1).is_empty());
        assert_eq!(permutation(1, 1, 1), [0]);
    }

    #[test]
    fn every_place_of_a_permutation_is_equally_likely() {
        let mut counts = [[0u32; 4]; 4];
        for epoch in 0..4000 {
            permutation(4, 11, epoch)
                .iter()
                .enumerate()
                .for_each(|(place, &value)| counts[place][value] += 1);
        }
        // 1000 expected; five standard deviations of a binomial are 137.
        assert!(counts.iter().flatten().all(|&count| (863..=1137).contains(&count)), "{counts:?}");
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut stream = Stream::new(5, &[1]);
        let values: Vec<f64> = (0..20_000).map(|_| f64::from(stream.normal())).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 20_000.0;
        // Four standard errors: 4 / sqrt(20000) and 4 sqrt(2 / 20000).
        assert!(mean.abs() < 0.0283 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
    }
}
