//! Logistic regression with a ridge penalty, fitted by Newton's method in f64: the same rows give the same bits.

/// Newton steps at most; a convex problem of this size takes about ten.
const STEPS: usize = 100;
/// Fitted when a Newton step promises less than this of the objective, relative to it.
const TOLERANCE: f64 = 1e-14;

/// A fitted model: `log-odds = bias + weights . (x - mean) / deviation`.
#[derive(Clone, Debug)]
pub(super) struct Logistic {
    mean: Vec<f64>,
    /// 1 where a feature is constant.
    deviation: Vec<f64>,
    /// The weights, then the bias.
    weights: Vec<f64>,
}

impl Logistic {
    /// Minimises the sum of logistic losses plus `ridge / 2` times the squared length of the weights (not of the bias) over
    /// standardised features. `rows` holds `width` features a row, `positive` one flag a row; `ridge` is positive. `None` unless both
    /// kinds of rows are there.
    pub(super) fn fit(rows: &[f64], width: usize, positive: &[bool], ridge: f64) -> Option<Self> {
        if positive.iter().all(|p| *p) || positive.iter().all(|p| !*p) {
            return None;
        }
        let n = positive.len() as f64;
        let column = |k: usize| rows.iter().skip(k).step_by(width);
        let mean: Vec<f64> = (0..width).map(|k| column(k).sum::<f64>() / n).collect();
        let spread = |k: usize| (column(k).map(|x| (x - mean[k]).powi(2)).sum::<f64>() / n).sqrt();
        // A constant column may be a rounding error away from constant; it says nothing either way.
        let deviation = |k: usize| Some(spread(k)).filter(|d| *d > 1e-12 * mean[k].abs()).unwrap_or(1.0);
        let deviation: Vec<f64> = (0..width).map(deviation).collect();
        let mut model = Self { mean, deviation, weights: vec![0.0; width + 1] };
        let standardised: Vec<Vec<f64>> =
            rows.chunks_exact(width).map(|row| model.standardised(row)).collect();
        model.weights = newton(&standardised, positive, ridge);
        Some(model)
    }

    /// The log-odds that a row is positive.
    pub(super) fn log_odds(&self, row: &[f64]) -> f64 {
        dot(&self.standardised(row), &self.weights)
    }

    /// The standardised features, then a 1 for the bias.
    fn standardised(&self, row: &[f64]) -> Vec<f64> {
        let features = row.iter().zip(self.mean.iter().zip(&self.deviation));
        features.map(|(x, (mean, deviation))| (x - mean) / deviation).chain([1.0]).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Newton's method with step halving from zero; every row ends in a 1, whose weight is not penalised.
fn newton(rows: &[Vec<f64>], positive: &[bool], ridge: f64) -> Vec<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let mut weights = vec![0.0; width];
    let mut value = objective(rows, positive, ridge, &weights);
    for _ in 0..STEPS {
        let (gradient, hessian) = derivatives(rows, positive, ridge, &weights);
        let step = solve(hessian, &gradient);
        let promised = dot(&gradient, &step);
        if promised <= TOLERANCE * value.max(1.0) {
            break;
        }
        let mut length = 1.0;
        loop {
            let next: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w - length * s).collect();
            let lower = objective(rows, positive, ridge, &next);
            if lower <= value - 1e-4 * length * promised {
                (weights, value) = (next, lower);
                break;
            }
            length *= 0.5;
            // Rounding alone is left.
            if length < 1e-10 {
                return weights;
            }
        }
    }
    weights
}

fn penalised(k: usize, width: usize, ridge: f64) -> f64 {
    if k + 1 == width { 0.0 } else { ridge }
}

fn objective(rows: &[Vec<f64>], positive: &[bool], ridge: f64, weights: &[f64]) -> f64 {
    let width = weights.len();
    let penalty: f64 =
        weights.iter().enumerate().map(|(k, w)| 0.5 * penalised(k, width, ridge) * w * w).sum();
    let loss = |(row, &positive): (&Vec<f64>, &bool)| {
        let log_odds = dot(row, weights);
        super::evidence::softplus(if positive { -log_odds } else { log_odds })
    };
    penalty + rows.iter().zip(positive).map(loss).sum::<f64>()
}

/// The gradient, and the Hessian row by row up to its diagonal.
fn derivatives(
    rows: &[Vec<f64>],
    positive: &[bool],
    ridge: f64,
    weights: &[f64],
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let width = weights.len();
    let mut gradient: Vec<f64> =
        weights.iter().enumerate().map(|(k, w)| penalised(k, width, ridge) * w).collect();
    let mut hessian = vec![vec![0.0; width]; width];
    for (row, &positive) in rows.iter().zip(positive) {
        let p = 1.0 / (1.0 + (-dot(row, weights)).exp());
        let error = p - f64::from(u8::from(positive));
        for (i, x) in row.iter().enumerate() {
            gradient[i] += error * x;
            for (j, y) in row[..=i].iter().enumerate() {
                hessian[i][j] += p * (1.0 - p) * x * y;
            }
        }
    }
    for (i, row) in hessian.iter_mut().enumerate() {
        // Where all rows are fitted to certainty the bias has no curvature left; this keeps the matrix positive definite.
        row[i] += penalised(i, width, ridge).max(1e-12);
    }
    (gradient, hessian)
}

/// Solves `a x = b` for a symmetric positive definite matrix by Cholesky's decomposition; what is above the diagonal is not looked at.
fn solve(mut a: Vec<Vec<f64>>, b: &[f64]) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i][j] - dot(&a[i][..j], &a[j][..j]);
            a[i][j] = if i == j { sum.max(f64::MIN_POSITIVE).sqrt() } else { sum / a[j][j] };
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        x[i] = (x[i] - dot(&a[i][..i], &x[..i])) / a[i][i];
    }
    for i in (0..n).rev() {
        let above: f64 = (i + 1..n).map(|k| a[k][i] * x[k]).sum();
        x[i] = (x[i] - above) / a[i][i];
    }
    x
}
