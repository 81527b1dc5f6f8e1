//! Differential privacy: what training with noise promises.

pub mod accountant;
pub mod sgd;
