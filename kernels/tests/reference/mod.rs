//! Every op in f64, straight from its definition, and how far an f32 computation may be off.

mod attention;
mod images;
mod project;
mod rows;

pub use attention::{attention, attention_grad};
pub use images::{
    conv, conv_input_grad, conv_weight_grad, gated_conv_input_grad, gated_pool_grad, pool, pool_grad,
};
pub use project::{norms_and_radii, project};
pub use rows::*;

/// Half the distance from 1 to the next f32: the relative error of one rounded operation.
pub const U: f64 = 5.960_464_477_539_063e-8;

/// An exact result and the error that f32 arithmetic may leave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Value {
    pub exact: f64,
    pub bound: f64,
}

impl Value {
    pub fn exact(value: f32) -> Self {
        Self { exact: f64::from(value), bound: 0.0 }
    }
}

/// A sum of products with the bound that holds for every order of summation: n u sum |terms| (Higham 2002, section 3.1),
/// with four more roundings for the products and the epilogue.
#[derive(Clone, Copy, Default)]
pub struct Sum {
    pub value: f64,
    pub magnitude: f64,
    pub count: usize,
}

impl Sum {
    pub fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
        self.count += 1;
    }

    pub fn finish(self) -> Value {
        Value { exact: self.value, bound: (self.count + 4) as f64 * U * self.magnitude }
    }

    /// For sums in a balanced tree: at most 70 roundings on the way of any term, whatever the length.
    pub fn finish_tree(self) -> Value {
        Value { exact: self.value, bound: (self.count as f64 + 4.0).min(70.0) * U * self.magnitude }
    }
}
