//! Small dense linear algebra in f64: eigenvectors of symmetric matrices, principal components.

use crate::training::random::{Stream, name_number};

/// Up to this size all eigenvectors are computed; beyond, only those that are asked for.
const SMALL: usize = 48;
/// Vectors that are iterated beside those asked for: they make it converge faster.
const SPARE: usize = 8;
/// Products at most, and how often it is looked whether that is enough.
const MOST_PRODUCTS: usize = 2000;
const PRODUCTS_A_LOOK: usize = 8;
/// An eigenvector is good when |A v - lambda v| is below this share of the largest eigenvalue.
const RESIDUAL: f64 = 1e-10;

/// Eigenvalues, largest first, and their unit eigenvectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// The eigenvalues.
    pub values: Vec<f64>,
    /// One vector for each; its entry of largest size is positive.
    pub vectors: Vec<Vec<f64>>,
}

/// Principal components of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Mean of the rows, `[d]`.
    pub mean: Vec<f64>,
    /// Orthonormal directions of largest variance, largest first; its entry of largest size is positive.
    pub axes: Vec<Vec<f64>>,
    /// Sum of squares along each axis.
    pub power: Vec<f64>,
}

/// The scalar product of vectors of one length, as eight partial sums, so that they are added up side by side.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sums, whole) = ([0.0; 8], a.len().min(b.len()) / 8 * 8);
    for (a, b) in a[..whole].chunks_exact(8).zip(b[..whole].chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// The `k` directions along which `rows` (`[n]` rows of length d) vary most; fewer where there are fewer of any variance.
pub fn principal(rows: &[&[f64]], k: usize) -> Principal {
    let (n, d) = (rows.len(), rows.first().map_or(0, |row| row.len()));
    let mut mean = vec![0.0; d];
    for row in rows {
        mean.iter_mut().zip(*row).for_each(|(mean, value)| *mean += value / n as f64);
    }
    let centred: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean).collect()).collect();
    let columns: Vec<Vec<f64>> = (0..d).map(|j| centred.iter().map(|row| row[j]).collect()).collect();
    let by_rows = n < d;
    let found = if by_rows { top(&gram(&centred), n, k) } else { top(&gram(&columns), d, k) };
    let mut principal = Principal { mean, axes: Vec::new(), power: Vec::new() };
    let floor = found.values.first().map_or(0.0, |largest| largest * 1e-12);
    for (power, vector) in found.values.into_iter().zip(found.vectors) {
        if power <= floor {
            break;
        }
        let axis = if by_rows {
            let along: Vec<f64> = columns.iter().map(|column| dot(column, &vector)).collect();
            upright(along.iter().map(|value| value / power.sqrt()).collect())
        } else {
            vector
        };
        principal.axes.push(axis);
        principal.power.push(power);
    }
    principal
}

impl Principal {
    /// A row's coordinates along the axes.
    pub fn coordinates(&self, row: &[f64]) -> Vec<f64> {
        let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(value, mean)| value - mean).collect();
        self.axes.iter().map(|axis| dot(axis, &centred)).collect()
    }
}

/// The scalar products of all pairs, `[n, n]`.
fn gram(rows: &[Vec<f64>]) -> Vec<f64> {
    let n = rows.len();
    let mut products = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let product = dot(&rows[i], &rows[j]);
            (products[i * n + j], products[j * n + i]) = (product, product);
        }
    }
    products
}

/// The `k` largest eigenvalues of a symmetric, positive semidefinite matrix `[n, n]`: by [`jacobi`] where it is small, else by products
/// with a block of vectors that is orthonormalised each time (subspace iteration; Golub & Van Loan 2013, section 8.2.4).
pub fn top(matrix: &[f64], n: usize, k: usize) -> Eigen {
    let width = k + SPARE;
    if n <= SMALL.max(width) {
        let mut found = jacobi(matrix, n);
        found.values.truncate(k);
        found.vectors.truncate(k);
        return found;
    }
    let mut stream = Stream::new(0, &[name_number("subspace")]);
    let mut block: Vec<Vec<f64>> =
        (0..width).map(|_| (0..n).map(|_| f64::from(stream.normal())).collect()).collect();
    let times = |vector: &[f64]| -> Vec<f64> { matrix.chunks_exact(n).map(|row| dot(row, vector)).collect() };
    orthonormalise(&mut block);
    for _ in 0..MOST_PRODUCTS / PRODUCTS_A_LOOK {
        for _ in 0..PRODUCTS_A_LOOK {
            block.iter_mut().for_each(|vector| *vector = times(vector));
            orthonormalise(&mut block);
        }
        let (rotated, good) = rayleigh_ritz(&block, times, k);
        if good {
            return rotated;
        }
        block = rotated.vectors;
    }
    let (mut found, _) = rayleigh_ritz(&block, times, k);
    found.values.truncate(k);
    found.vectors.truncate(k);
    found
}

/// The best eigenvectors within the span of `block`; whether the first `k` are good, and then these alone.
fn rayleigh_ritz(block: &[Vec<f64>], times: impl Fn(&[f64]) -> Vec<f64>, k: usize) -> (Eigen, bool) {
    let width = block.len();
    let products: Vec<Vec<f64>> = block.iter().map(|vector| times(vector)).collect();
    let mut small: Vec<f64> = Vec::with_capacity(width * width);
    for a in block {
        small.extend(products.iter().map(|b| dot(a, b)));
    }
    let Eigen { mut values, vectors: weights } = jacobi(&small, width);
    let combine = |weights: &[f64], of: &[Vec<f64>]| -> Vec<f64> {
        let mut sum = vec![0.0; of[0].len()];
        for (weight, vector) in weights.iter().zip(of) {
            sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight * value);
        }
        sum
    };
    let mut vectors: Vec<Vec<f64>> = weights.iter().map(|weights| combine(weights, block)).collect();
    let good = (0..k).all(|at| {
        let image = combine(&weights[at], &products);
        let residual = image.iter().zip(&vectors[at]).map(|(a, v)| (a - values[at] * v).powi(2)).sum::<f64>();
        residual.sqrt() <= RESIDUAL * values[0]
    });
    if good {
        values.truncate(k);
        vectors.truncate(k);
        vectors = vectors.into_iter().map(upright).collect();
    }
    (Eigen { values, vectors }, good)
}

/// Gram and Schmidt, twice for accuracy; a vector that depends on those before it becomes 0.
fn orthonormalise(block: &mut [Vec<f64>]) {
    for at in 0..block.len() {
        let (before, rest) = block.split_at_mut(at);
        let vector = &mut rest[0];
        let length = dot(vector, vector).sqrt();
        for _ in 0..2 {
            for other in before.iter() {
                let along = dot(vector, other);
                vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
        }
        let left = dot(vector, vector).sqrt();
        let factor = if left > 1e-14 * length { 1.0 / left } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= factor);
    }
}

/// All eigenvalues of a symmetric matrix `[n, n]`, by rotations (Jacobi 1846; Golub & Van Loan 2013, section 8.5).
pub fn jacobi(matrix: &[f64], n: usize) -> Eigen {
    let mut a = matrix.to_vec();
    let mut v: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
    let size = a.iter().map(|x| x * x).sum::<f64>();
    for _ in 0..60 {
        let off: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| a[at] * a[at]).sum();
        if off <= 1e-30 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, n, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    Eigen {
        values: order.iter().map(|&i| a[i * n + i]).collect(),
        vectors: order.iter().map(|&i| upright((0..n).map(|row| v[row * n + i]).collect())).collect(),
    }
}

/// One rotation that makes entry (p, q) vanish.
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let entry = a[p * n + q];
    if entry == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * entry);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
    for k in 0..n {
        (a[k * n + p], a[k * n + q]) = turn(a[k * n + p], a[k * n + q]);
    }
    for k in 0..n {
        (a[p * n + k], a[q * n + k]) = turn(a[p * n + k], a[q * n + k]);
        (v[k * n + p], v[k * n + q]) = turn(v[k * n + p], v[k * n + q]);
    }
}

/// The vector or its opposite, so that its entry of largest size (the first of equal ones) is positive.
fn upright(mut vector: Vec<f64>) -> Vec<f64> {
    let largest =
        vector.iter().fold(0f64, |most, value| if value.abs() > most.abs() { *value } else { most });
    if largest < 0.0 {
        vector.iter_mut().for_each(|value| *value = -*value);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B B^T of random B, with a spectrum that falls off slowly.
    fn matrix(n: usize) -> Vec<f64> {
        let mut stream = Stream::new(3, &[n as u64]);
        let rows: Vec<Vec<f64>> =
            (0..n).map(|_| (0..2 * n).map(|_| f64::from(stream.normal())).collect()).collect();
        gram(&rows)
    }

    #[test]
    fn eigenvectors_are_what_the_matrix_only_stretches() {
        for n in [1, 2, 7, 40] {
            let matrix = matrix(n);
            let found = jacobi(&matrix, n);
            for (value, vector) in found.values.iter().zip(&found.vectors) {
                let image: Vec<f64> = matrix.chunks_exact(n).map(|row| dot(row, vector)).collect();
                // Rounding of an n-term f64 sum, relative to the largest eigenvalue.
                let tolerance = 1e-12 * found.values[0];
                assert!(image.iter().zip(vector).all(|(a, v)| (a - value * v).abs() < tolerance), "n = {n}");
            }
            let trace: f64 = (0..n).map(|i| matrix[i * n + i]).sum();
            assert!((found.values.iter().sum::<f64>() / trace - 1.0).abs() < 1e-12);
            assert!(found.values.windows(2).all(|pair| pair[0] >= pair[1]));
        }
    }

    #[test]
    fn a_few_eigenvectors_are_those_of_all() {
        let n = 90;
        let matrix = matrix(n);
        let (few, all) = (top(&matrix, n, 3), jacobi(&matrix, n));
        assert_eq!(few.vectors.len(), 3);
        for at in 0..3 {
            assert!((few.values[at] / all.values[at] - 1.0).abs() < 1e-10);
            // A residual of 1e-10 over gaps of about a hundredth of the largest eigenvalue.
            assert!((dot(&few.vectors[at], &all.vectors[at]) - 1.0).abs() < 1e-12, "{at}");
        }
    }

    #[test]
    fn principal_components_are_the_same_from_either_side_and_stop_at_the_rank() {
        // Three rows in five dimensions have two directions.
        let rows: [&[f64]; 3] =
            [&[1.0, 0.0, 2.0, 0.0, 0.0], &[-1.0, 0.0, 2.0, 0.0, 0.0], &[0.0, 3.0, 2.0, 0.0, 0.0]];
        let found = principal(&rows, 5);
        assert_eq!(found.axes.len(), 2);
        assert!((found.axes[0][1].abs() - 1.0).abs() < 1e-12 && (found.axes[1][0].abs() - 1.0).abs() < 1e-12);
        assert!((found.power[0] - 6.0).abs() < 1e-12 && (found.power[1] - 2.0).abs() < 1e-12);
        let many: Vec<&[f64]> = rows.iter().copied().chain(rows).collect();
        let other = principal(&many, 5);
        assert_eq!(other.axes.len(), 2);
        assert!((dot(&other.axes[0], &found.axes[0]).abs() - 1.0).abs() < 1e-12);
        assert!((other.power[0] - 12.0).abs() < 1e-12);
    }
}
