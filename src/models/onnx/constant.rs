//! Tensors that are known when a network is read: weights, shapes, indices.

use std::sync::Arc;

/// What a value's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Float,
    Int,
    Bool,
}

/// The numbers of a constant.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Float(Arc<Vec<f32>>),
    /// Of any width; wider than any size in a file of this world.
    Int(Arc<Vec<i64>>),
    /// 0 or 1.
    Bool(Arc<Vec<i64>>),
}

/// A tensor, row-major; without axes it is a single number.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
}

impl Constant {
    /// A tensor of whole numbers along one axis.
    pub(super) fn ints(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], data: Data::Int(Arc::new(values)) }
    }

    /// One whole number.
    pub(super) fn int(value: i64) -> Self {
        Self { dims: vec![], data: Data::Int(Arc::new(vec![value])) }
    }

    /// A tensor of reals.
    pub(super) fn floats(dims: &[usize], values: Vec<f32>) -> Self {
        Self { dims: dims.to_vec(), data: Data::Float(Arc::new(values)) }
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Float(values) => values.len(),
            Data::Int(values) | Data::Bool(values) => values.len(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match &self.data {
            Data::Float(_) => Kind::Float,
            Data::Int(_) => Kind::Int,
            Data::Bool(_) => Kind::Bool,
        }
    }

    /// Its whole numbers, if it holds such.
    pub(super) fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Int(values) | Data::Bool(values) => Some(values),
            Data::Float(_) => None,
        }
    }

    /// Its reals, if it holds such.
    pub(super) fn as_floats(&self) -> Option<&Arc<Vec<f32>>> {
        match &self.data {
            Data::Float(values) => Some(values),
            _ => None,
        }
    }

    /// Element `i` as a number.
    pub(super) fn number(&self, i: usize) -> f64 {
        match &self.data {
            Data::Float(values) => f64::from(values[i]),
            Data::Int(values) | Data::Bool(values) => values[i] as f64,
        }
    }

    /// The only element, if there is one.
    pub(super) fn single(&self) -> Option<f64> {
        (self.len() == 1).then(|| self.number(0))
    }

    /// The same numbers under other axes of as many elements.
    pub(super) fn with_dims(&self, dims: Vec<usize>) -> Self {
        Self { dims, data: self.data.clone() }
    }

    /// The elements at these places, under these axes.
    pub(super) fn picked(&self, dims: Vec<usize>, places: &[usize]) -> Self {
        let ints = |values: &[i64]| Arc::new(places.iter().map(|&i| values[i]).collect::<Vec<i64>>());
        let data = match &self.data {
            Data::Float(values) => Data::Float(Arc::new(places.iter().map(|&i| values[i]).collect())),
            Data::Int(values) => Data::Int(ints(values)),
            Data::Bool(values) => Data::Bool(ints(values)),
        };
        Self { dims, data }
    }

    /// Axes reordered: axis `d` of the result is axis `axes[d]`.
    pub(super) fn permuted(&self, axes: &[usize]) -> Self {
        let dims: Vec<usize> = axes.iter().map(|&axis| self.dims[axis]).collect();
        let long =
            |axes: &mut dyn Iterator<Item = usize>| axes.filter(|&a| self.dims[a] != 1).collect::<Vec<_>>();
        if long(&mut axes.iter().copied()) == long(&mut (0..axes.len())) {
            return self.with_dims(dims);
        }
        let strides = strides(&self.dims);
        let steps: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
        self.picked(dims.clone(), &walk(&dims, &steps))
    }

    /// The elements repeated along axes of length 1 (and new ones in front).
    pub(super) fn broadcast(&self, dims: &[usize]) -> Self {
        if self.dims == dims {
            return self.clone();
        }
        let own = strides(&self.dims);
        let missing = dims.len() - self.dims.len();
        let steps: Vec<usize> = (0..dims.len())
            .map(|axis| match axis.checked_sub(missing) {
                Some(a) if self.dims[a] > 1 => own[a],
                _ => 0,
            })
            .collect();
        self.picked(dims.to_vec(), &walk(dims, &steps))
    }
}

/// Row-major strides.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// The places that a walk over `dims`, the last axis fastest, meets with these steps along its axes.
pub(super) fn walk(dims: &[usize], steps: &[usize]) -> Vec<usize> {
    let len: usize = dims.iter().product();
    let mut places = Vec::with_capacity(len);
    let mut index = vec![0; dims.len()];
    let mut at = 0;
    for _ in 0..len {
        places.push(at);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= steps[axis] * dims[axis];
            index[axis] = 0;
        }
    }
    places
}
