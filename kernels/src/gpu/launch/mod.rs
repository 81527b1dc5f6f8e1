//! Placeholder: replaced by the GPU launches.

use super::{Adapter, Kernel};
use crate::ops;

pub(crate) fn matmul(_op: &ops::Matmul, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn conv(_op: &ops::Conv, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn conv_input_grad(_op: &ops::ConvInputGrad, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn conv_weight_grad(_op: &ops::ConvWeightGrad, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn pool(_op: &ops::Pool, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn pool_grad(_op: &ops::PoolGrad, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn reduce(_op: &ops::Reduce, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn moments(_op: &ops::Moments, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn softmax(_op: &ops::Softmax, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn cross_entropy(_op: &ops::CrossEntropy, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn cross_entropy_grad(_op: &ops::CrossEntropyGrad, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn gather(_op: &ops::Gather, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn scatter_add(_op: &ops::ScatterAdd, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn permute(_op: &ops::Permute, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn concat(_op: &ops::Concat, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn slice(_op: &ops::Slice, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn random(_op: &ops::Random, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn pointwise(_op: &ops::Pointwise, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}

pub(crate) fn project(_op: &ops::Project, _adapter: &Adapter) -> Vec<Kernel> {
    Vec::new()
}
