//! Activation functions, element by element.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use percuss_kernels::ops::Unary;

use super::{Graph, Tensor};

impl Graph {
    /// The error function.
    pub fn erf(&mut self, x: Tensor) -> Tensor {
        self.unary(Unary::Erf, x)
    }

    /// 1 / (1 + e^-x)
    pub fn sigmoid(&mut self, x: Tensor) -> Tensor {
        self.unary(Unary::Sigmoid, x)
    }

    /// x sigmoid(x), also called swish (Elfwing et al. 2018; Ramachandran et al. 2017).
    pub fn silu(&mut self, x: Tensor) -> Tensor {
        let gate = self.sigmoid(x);
        self.mul(x, gate)
    }

    /// x times the normal distribution function of x (Hendrycks & Gimpel 2016), exact. Its gradient reads x alone: nothing else is kept.
    pub fn gelu(&mut self, x: Tensor) -> Tensor {
        self.unary(Unary::Gelu, x)
    }

    /// The tanh approximation of [`Self::gelu`]: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    pub fn gelu_tanh(&mut self, x: Tensor) -> Tensor {
        let square = self.mul(x, x);
        let cubic = self.scale(square, 0.044_715);
        let factor = self.shift(cubic, 1.0);
        let inner = self.mul(x, factor);
        let scaled = self.scale(inner, FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
        let tanh = self.unary(Unary::Tanh, scaled);
        self.gated_half(x, tanh)
    }

    /// The sigmoid approximation of [`Self::gelu`]: x sigmoid(1.702 x).
    pub fn quick_gelu(&mut self, x: Tensor) -> Tensor {
        let scaled = self.scale(x, 1.702);
        let gate = self.sigmoid(scaled);
        self.mul(x, gate)
    }

    /// x (1 + s) / 2
    fn gated_half(&mut self, x: Tensor, s: Tensor) -> Tensor {
        let shifted = self.shift(s, 1.0);
        let gate = self.scale(shifted, 0.5);
        self.mul(x, gate)
    }
}
