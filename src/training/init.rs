//! Initial parameters: PyTorch's defaults, from a seed and each tensor's name.

use std::collections::BTreeMap;

use super::random::{Stream, name_number};
use crate::models::{Declared, Role, WeightTensor};

/// The tensors that `declared` calls for, in PyTorch's layouts.
///
/// Linear and convolution weights are Kaiming uniform with a = sqrt 5 (He et al. 2015), that is uniform on
/// `+-1 / sqrt(fan_in)`, as are biases; a norm starts as the identity, with running mean 0 and variance 1; vectors of
/// tokens and positions are normal with deviation 0.02. A tensor's
/// values depend on the seed and its name alone, so that a wider or deeper model shares what it has in common.
pub fn initial(declared: &[Declared], seed: u64) -> BTreeMap<String, WeightTensor> {
    declared.iter().map(|tensor| (tensor.name.clone(), one(tensor, seed))).collect()
}

fn one(tensor: &Declared, seed: u64) -> WeightTensor {
    let len = tensor.shape.iter().product();
    let data = match tensor.role {
        Role::Linear | Role::Conv2d | Role::Conv1d | Role::Kernels | Role::Bias => {
            let bound = (1.0 / tensor.fan_in.max(1) as f64).sqrt() as f32;
            let mut stream = Stream::new(seed, &[name_number("parameters"), name_number(&tensor.name)]);
            (0..len).map(|_| bound * stream.signed()).collect()
        }
        Role::Embedding => {
            let mut stream = Stream::new(seed, &[name_number("parameters"), name_number(&tensor.name)]);
            (0..len).map(|_| 0.02 * stream.normal()).collect()
        }
        Role::LayerScale => vec![1e-6; len],
        Role::Scale | Role::RunningVariance => vec![1.0; len],
        Role::Shift | Role::RunningMean => vec![0.0; len],
    };
    WeightTensor { shape: tensor.shape.clone(), data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, shape: &[usize], role: Role, fan_in: usize) -> Declared {
        Declared { name: name.into(), shape: shape.to_vec(), role, fan_in }
    }

    #[test]
    fn weights_fill_the_bound_of_kaiming_uniform() {
        let made = initial(&[declared("c.weight", &[64, 16, 3, 3], Role::Conv2d, 144)], 3);
        let data = &made["c.weight"].data;
        let n = data.len() as f64;
        let mean = data.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = data.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
        let bound = 1.0 / 12.0;
        assert!(data.iter().all(|v| f64::from(v.abs()) <= bound));
        assert!(
            data.iter().any(|&v| f64::from(v) > 0.99 * bound)
                && data.iter().any(|&v| f64::from(v) < -0.99 * bound)
        );
        // A uniform on +-b has standard deviation b / sqrt 3; mean and variance within four standard errors.
        let deviation = bound / 3f64.sqrt();
        assert!(mean.abs() < 4.0 * deviation / n.sqrt(), "{mean}");
        assert!((variance / deviation.powi(2) - 1.0).abs() < 4.0 * (0.8f64 / n).sqrt(), "{variance}");
    }

    #[test]
    fn values_depend_on_seed_and_name_alone() {
        let a = declared("0.weight", &[4, 8], Role::Linear, 8);
        let b = declared("2.weight", &[4, 8], Role::Linear, 8);
        let both = initial(&[a.clone(), b.clone()], 1);
        assert_eq!(both["2.weight"], initial(&[b], 1)["2.weight"]);
        assert_ne!(both["0.weight"].data, both["2.weight"].data);
        assert_ne!(both["0.weight"], initial(&[a], 2)["0.weight"]);
    }

    #[test]
    fn batch_norm_starts_as_the_identity() {
        let roles = [Role::Scale, Role::Shift, Role::RunningMean, Role::RunningVariance];
        let first = roles.map(|role| initial(&[declared("n", &[3], role, 3)], 0)["n"].data[0]);
        assert_eq!(first, [1.0, 0.0, 0.0, 1.0]);
    }
}
