//! Weights kept as f16 beside their f32 originals.

use super::device::lock;
use super::readback::Staging;
use super::{GpuBuffer, GpuDevice};
use crate::Result;

impl GpuDevice {
    /// The buffer's numbers as f16 at half the offsets, made once. Those too large become the largest f16, as in kernels that
    /// round what they read.
    pub(super) fn halves(&self, data: &GpuBuffer) -> Result<wgpu::Buffer> {
        let mut made = lock(&data.halves);
        if let Some(buffer) = &*made {
            return Ok(buffer.clone());
        }
        let mut values = vec![0.0; data.len];
        Staging::default().read(self, &data.buffer, 0, &mut values)?;
        let bits = |value: f32| u32::from(rounded(value).to_bits());
        let pair =
            |pair: &[f32]| f32::from_bits(bits(pair[0]) | pair.get(1).map_or(0, |&high| bits(high)) << 16);
        let pairs: Vec<f32> = values.chunks(2).map(pair).collect();
        let buffer = self.buffer(pairs.len())?;
        self.fill(&buffer, 0, &pairs)?;
        Ok(made.insert(buffer).clone())
    }
}

/// The nearest f16 that is finite; NaN stays.
fn rounded(value: f32) -> half::f16 {
    let most = half::f16::MAX.to_f32();
    half::f16::from_f32(if value.is_nan() { value } else { value.clamp(-most, most) })
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_out_of_range_stay_finite() {
        let values = [1.0, -2.5, 65_504.0, 7e4, f32::NEG_INFINITY, 1e-9];
        let expected = [1.0, -2.5, 65_504.0, 65_504.0, -65_504.0, 0.0];
        assert_eq!(values.map(|value| super::rounded(value).to_f32()), expected);
        assert!(super::rounded(f32::NAN).is_nan());
    }
}
