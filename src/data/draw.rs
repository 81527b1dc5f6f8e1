//! Seeded numbers: the hash that orders samples, and the small stream that synthetic data is drawn from.

/// Mixes two words into one that looks random: the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
pub fn mix(seed: u64, x: u64) -> u64 {
    finalise(finalise(seed.wrapping_add(GOLDEN)) ^ x.wrapping_mul(GOLDEN))
}

/// [`mix`] as a fraction in `[0, 1)`, with 53 random bits.
pub fn fraction(seed: u64, x: u64) -> f64 {
    to_unit(mix(seed, x))
}

/// A 64-bit hash of a text: FNV-1a, then [`mix`].
pub fn mix_text(seed: u64, text: &str) -> u64 {
    let fnv =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    mix(seed, fnv)
}

/// A stream of random numbers (SplitMix64), one a synthetic patient or beat.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The stream number `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed, stream))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        finalise(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        to_unit(self.bits())
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Normal, mean 0 and standard deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A factor around 1 whose logarithm has the standard deviation `sd`.
    pub fn factor(&mut self, sd: f64) -> f64 {
        (sd * self.normal()).exp()
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn finalise(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn to_unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_64_gives_its_published_sequence() {
        // The reference outputs for the seed 1234567.
        let mut draw = Draw(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| draw.bits()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let mut draw = Draw::new(7, 0);
        let values: Vec<f64> = (0..20_000).map(|_| draw.normal()).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 20_000.0;
        // Four standard errors: 4/sqrt(20000) and 4*sqrt(2/20000).
        assert!(mean.abs() < 0.028 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
    }
}
