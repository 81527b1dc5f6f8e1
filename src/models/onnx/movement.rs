//! Elements under other axes, picked, joined, repeated: of constants at once, of traced values in the graph.

use std::sync::Arc;

use percuss_kernels::ops::Reduction;

use super::constant::{Constant, Data, Kind};
use super::layout::Builder;
use super::value::{Refusal, Traced, Value, bounded, elements};
use crate::graph::Tensor;

/// Pieces of which a selection is put together at most; else it is gathered.
const PIECES: usize = 8;

impl Builder {
    /// Axis `d` of the result is axis `axes[d]`: nothing moves yet.
    pub(super) fn transpose(&mut self, value: &Value, axes: &[usize]) -> Result<Value, Refusal> {
        match value {
            Value::Constant(constant) => {
                self.take_room(&constant.dims)?;
                Ok(constant.permuted(axes).into())
            }
            Value::Traced(traced) => {
                let mut place = vec![0; axes.len()];
                axes.iter().enumerate().for_each(|(to, &from)| place[from] = to);
                let dims = axes.iter().map(|&axis| traced.dims[axis]).collect();
                let order = traced.order.iter().map(|&axis| place[axis]).collect();
                Ok(Traced { tensor: traced.tensor, dims, order, kind: traced.kind }.into())
            }
        }
    }

    /// The same elements under other axes.
    pub(super) fn reshape(&mut self, value: &Value, dims: &[usize]) -> Result<Value, Refusal> {
        let count = |dims: &[usize]| dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if count(dims) != count(value.dims()) || count(dims).is_none() {
            return Err(format!("shape {:?} as {dims:?}", value.dims()));
        }
        let traced = match value {
            Value::Constant(constant) => {
                // An empty one may claim any length along its other axes.
                if constant.len() == 0 {
                    bounded(dims)?;
                }
                return Ok(constant.with_dims(dims.to_vec()).into());
            }
            Value::Traced(traced) => traced,
        };
        let order = match kept_order(traced, dims) {
            Some(order) => order,
            None => {
                let tensor = self.natural(traced)?;
                let tensor = self.graph.reshape(tensor, dims);
                return Ok(self.plain(tensor, traced).into());
            }
        };
        let physical: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let tensor = self.graph.reshape(traced.tensor, &physical);
        Ok(Traced { tensor, dims: dims.to_vec(), order, kind: traced.kind }.into())
    }

    /// Axes of length 1 at these places of the result.
    pub(super) fn unsqueeze(&mut self, value: &Value, axes: &[usize]) -> Result<Value, Refusal> {
        let mut dims = value.dims().to_vec();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        for axis in sorted {
            if axis > dims.len() {
                return Err(format!("axis {axis} of {}", dims.len() + 1));
            }
            dims.insert(axis, 1);
        }
        self.reshape(value, &dims)
    }

    /// Positions of an axis, in any order, any of them more than once.
    pub(super) fn take(&mut self, value: &Value, axis: usize, positions: &[usize]) -> Result<Value, Refusal> {
        let len = value.dims()[axis];
        let mut dims = value.dims().to_vec();
        dims[axis] = positions.len();
        if positions.iter().copied().eq(0..len) {
            return Ok(value.clone());
        }
        let traced = match value {
            Value::Constant(constant) => {
                self.take_room(&dims)?;
                let inner: usize = constant.dims[axis + 1..].iter().product();
                let outer: usize = constant.dims[..axis].iter().product();
                let mut places = Vec::with_capacity(outer * positions.len() * inner);
                for o in 0..outer {
                    for &position in positions {
                        places.extend((0..inner).map(|i| (o * len + position) * inner + i));
                    }
                }
                return Ok(constant.picked(dims, &places).into());
            }
            Value::Traced(traced) => traced,
        };
        elements(&dims)?;
        let x = self.arrange(traced, &traced.order)?;
        let place = traced.order.iter().position(|&other| other == axis).unwrap_or(0);
        let tensor = self.take_physical(x, place, positions)?;
        Ok(Traced { tensor, dims, order: traced.order.clone(), kind: traced.kind }.into())
    }

    /// Positions of an axis in memory.
    fn take_physical(&mut self, x: Tensor, axis: usize, positions: &[usize]) -> Result<Tensor, Refusal> {
        let dims = self.graph.dims(x).to_vec();
        let split = [dims[..axis].iter().product(), dims[axis], dims[axis + 1..].iter().product()];
        let mut after = dims.clone();
        after[axis] = positions.len();
        let flat = self.graph.reshape(x, &split);
        if let Some(step) = even_step(positions) {
            let tensor = self.take_evenly(flat, positions[0], step, positions.len());
            return Ok(self.graph.reshape(tensor, &after));
        }
        let runs = runs(positions);
        self.take_room(&[positions.len()])?;
        let tensor = if runs.len() <= PIECES {
            let pieces: Vec<Tensor> = runs
                .iter()
                .map(|run| {
                    self.take_evenly(
                        flat,
                        run[0],
                        if run.len() > 1 && run[1] < run[0] { -1 } else { 1 },
                        run.len(),
                    )
                })
                .collect();
            self.graph.concat(&pieces, 1)
        } else {
            let rows = self.graph.permute(flat, &[1, 0, 2], &[false; 3]);
            let rows = self.with_lanes(rows);
            let index = Arc::new(positions.iter().map(|&position| position as f32).collect());
            let index = self.graph.constant(&index, &[positions.len()]);
            let index = self.with_lanes(index);
            let picked = self.graph.gather(rows, index);
            self.graph.permute(picked, &[1, 0, 2], &[false; 3])
        };
        Ok(self.graph.reshape(tensor, &after))
    }

    /// `count` positions of the middle axis, `step` apart.
    fn take_evenly(&mut self, x: Tensor, first: usize, step: i64, count: usize) -> Tensor {
        let apart = step.unsigned_abs() as usize;
        let lowest = if step < 0 { first - (count - 1) * apart } else { first };
        let [outer, len, inner] = [0, 1, 2].map(|axis| self.graph.dims(x)[axis]);
        let mut y = x;
        if apart <= 1 {
            y = self.graph.slice(y, 1, lowest..lowest + count);
        } else if lowest + count * apart <= len {
            y = self.graph.slice(y, 1, lowest..lowest + count * apart);
            y = self.graph.reshape(y, &[outer * count, apart, inner]);
            y = self.graph.slice(y, 1, 0..1);
            y = self.graph.reshape(y, &[outer, count, inner]);
        } else if count > 1 {
            let most = self.take_evenly(x, lowest, apart as i64, count - 1);
            let at = lowest + (count - 1) * apart;
            let last = self.graph.slice(x, 1, at..at + 1);
            y = self.graph.concat(&[most, last], 1);
        } else {
            y = self.graph.slice(y, 1, lowest..lowest + 1);
        }
        if step < 0 && count > 1 { self.graph.permute(y, &[0, 1, 2], &[false, true, false]) } else { y }
    }

    /// Values joined along an axis.
    pub(super) fn concat(&mut self, values: &[Value], axis: usize) -> Result<Value, Refusal> {
        let first = values.first().ok_or("nothing to join")?;
        let mut dims = first.dims().to_vec();
        dims[axis] = 0;
        for value in values {
            let fits = value.rank() == dims.len()
                && (0..dims.len()).all(|a| a == axis || value.dims()[a] == dims[a]);
            if !fits {
                return Err(format!(
                    "shapes {:?} and {:?} to join along axis {axis}",
                    first.dims(),
                    value.dims()
                ));
            }
            dims[axis] = dims[axis].checked_add(value.dims()[axis]).ok_or("too long an axis")?;
        }
        if values.iter().any(|value| value.kind() != first.kind()) {
            return Err("reals and whole numbers to join".into());
        }
        let constants: Vec<&Constant> = values.iter().filter_map(Value::constant).collect();
        if constants.len() == values.len() {
            self.take_room(&dims)?;
            return Ok(joined(&constants, dims, axis).into());
        }
        elements(&dims)?;
        let largest =
            values.iter().filter(|value| value.constant().is_none()).max_by_key(|value| value.dims()[axis]);
        let (order, kind) = match largest {
            Some(Value::Traced(traced)) => (traced.order.clone(), traced.kind),
            _ => return Err("nothing to join".into()),
        };
        let mut tensors = Vec::with_capacity(values.len());
        for value in values.iter().filter(|value| value.dims()[axis] > 0) {
            let tensor = match value {
                Value::Constant(constant) => self.lift(constant, &order, false),
                Value::Traced(traced) => self.arrange(traced, &order)?,
            };
            tensors.push(tensor);
        }
        let place = order.iter().position(|&other| other == axis).unwrap_or(0);
        let tensor = if tensors.len() == 1 { tensors[0] } else { self.graph.concat(&tensors, place) };
        Ok(Traced { tensor, dims, order, kind }.into())
    }

    /// The value repeated along axes of length 1, and along new ones in front.
    pub(super) fn expand(&mut self, value: &Value, dims: &[usize]) -> Result<Value, Refusal> {
        let dims = super::value::broadcast(value.dims(), dims)?;
        if dims == value.dims() {
            return Ok(value.clone());
        }
        let traced = match value {
            Value::Constant(constant) => {
                self.take_room(&dims)?;
                return Ok(constant.broadcast(&dims).into());
            }
            Value::Traced(traced) => traced,
        };
        elements(&dims)?;
        let missing = dims.len() - traced.dims.len();
        let order: Vec<usize> = (0..missing).chain(traced.order.iter().map(|axis| axis + missing)).collect();
        let narrow: Vec<usize> =
            order.iter().map(|&axis| axis.checked_sub(missing).map_or(1, |axis| traced.dims[axis])).collect();
        let wide: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        // Neighbours that are both repeated, or both not, are one axis.
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for (&from, &to) in narrow.iter().zip(&wide).filter(|(_, to)| **to != 1) {
            match groups.last_mut() {
                Some(group) if (group.0 == 1) == (from == 1) => *group = (group.0 * from, group.1 * to),
                _ => groups.push((from, to)),
            }
        }
        let (from, to): (Vec<usize>, Vec<usize>) = groups.into_iter().unzip();
        if to.len() > 5 {
            return Err(format!("a tensor repeated along many axes, shape {dims:?}"));
        }
        let x = self.graph.reshape(traced.tensor, &from);
        let zeros = self.graph.zeros(crate::graph::Shape::lanes(&to));
        let repeated = self.graph.add(x, zeros);
        let tensor = self.graph.reshape(repeated, &wide);
        Ok(Traced { tensor, dims, order, kind: traced.kind }.into())
    }

    /// Axes reduced to one value; they keep the length 1 if `keep`.
    pub(super) fn reduce(
        &mut self,
        kind: Reduction,
        traced: &Traced,
        axes: &[usize],
        keep: bool,
    ) -> Result<Traced, Refusal> {
        let mut x = self.arrange(traced, &traced.order)?;
        let mut place = traced.order.len();
        // From the back, so that places in front stay what they are.
        while place > 0 {
            let end = place;
            while place > 0 && axes.contains(&traced.order[place - 1]) {
                place -= 1;
            }
            if place < end {
                x = self.graph.reduce(kind, x, place..end);
            } else {
                place -= 1;
            }
        }
        let kept: Vec<usize> = (0..traced.dims.len()).filter(|axis| !axes.contains(axis)).collect();
        let size = |axis: usize| if axes.contains(&axis) { 1 } else { traced.dims[axis] };
        let (dims, order): (Vec<usize>, Vec<usize>) = if keep {
            ((0..traced.dims.len()).map(size).collect(), traced.order.clone())
        } else {
            let place = |axis: &usize| kept.iter().position(|other| other == axis);
            (
                kept.iter().map(|&axis| traced.dims[axis]).collect(),
                traced.order.iter().filter_map(place).collect(),
            )
        };
        let physical: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let tensor = self.graph.reshape(x, &physical);
        Ok(Traced { tensor, dims, order, kind: traced.kind })
    }

    /// Elements at these places of the tensor, its axes as in the file.
    pub(super) fn take_flat(
        &mut self,
        value: &Value,
        places: &[usize],
        dims: &[usize],
    ) -> Result<Value, Refusal> {
        let traced = match value {
            Value::Constant(constant) => {
                self.take_room(dims)?;
                return Ok(constant.picked(dims.to_vec(), places).into());
            }
            Value::Traced(traced) => traced.clone(),
        };
        elements(dims)?;
        let len: usize = traced.dims.iter().product();
        let x = self.natural(&traced)?;
        let flat = self.graph.reshape(x, &[len]);
        let picked = self.take_physical(flat, 0, places)?;
        let tensor = self.graph.reshape(picked, dims);
        Ok(self.plain(tensor, &traced).into())
    }
}

/// The order in memory that a reshape leaves as it is, if there is one: every run of axes that is split or merged lies together.
fn kept_order(traced: &Traced, dims: &[usize]) -> Option<Vec<usize>> {
    let long = |dims: &[usize]| (0..dims.len()).filter(|&axis| dims[axis] != 1).collect::<Vec<usize>>();
    let (old, new) = (long(&traced.dims), long(dims));
    let mut segments: Vec<(&[usize], &[usize])> = Vec::new();
    let (mut i, mut k) = (0, 0);
    while i < old.len() || k < new.len() {
        let (first, third) = (i, k);
        let (mut a, mut b) = (*traced.dims.get(*old.get(i)?)?, *dims.get(*new.get(k)?)?);
        (i, k) = (i + 1, k + 1);
        while a != b {
            if a < b {
                a *= traced.dims[*old.get(i)?];
                i += 1;
            } else {
                b *= dims[*new.get(k)?];
                k += 1;
            }
        }
        segments.push((&old[first..i], &new[third..k]));
    }
    let lying: Vec<usize> = traced.order.iter().copied().filter(|&axis| traced.dims[axis] != 1).collect();
    let mut order = Vec::with_capacity(dims.len());
    let mut at = 0;
    while at < lying.len() {
        let (from, to) = segments.iter().find(|(from, _)| from[0] == lying[at])?;
        if lying.get(at..at + from.len())? != *from {
            return None;
        }
        order.extend_from_slice(to);
        at += from.len();
    }
    if order.is_sorted() {
        return Some((0..dims.len()).collect());
    }
    let ones: Vec<usize> = (0..dims.len()).filter(|&axis| dims[axis] == 1).collect();
    Some([ones, order].concat())
}

/// The distance of positions that are evenly apart; 1 for a single one.
fn even_step(positions: &[usize]) -> Option<i64> {
    let apart = |pair: &[usize]| pair[1] as i64 - pair[0] as i64;
    let Some(first) = positions.get(..2) else { return Some(1).filter(|_| positions.len() == 1) };
    let step = apart(first);
    (step != 0 && positions.windows(2).all(|pair| apart(pair) == step)).then_some(step)
}

/// Runs of neighbours, upwards or downwards.
fn runs(positions: &[usize]) -> Vec<&[usize]> {
    let mut out = Vec::new();
    let mut start = 0;
    for at in 1..=positions.len() {
        let step = |i: usize| positions[i] as i64 - positions[i - 1] as i64;
        let goes_on =
            at < positions.len() && step(at).abs() == 1 && (at == start + 1 || step(at) == step(at - 1));
        if !goes_on {
            out.push(&positions[start..at]);
            start = at;
        }
    }
    out
}

fn joined(constants: &[&Constant], dims: Vec<usize>, axis: usize) -> Constant {
    fn join<T: Copy>(parts: &[(&[T], usize)], outer: usize) -> Arc<Vec<T>> {
        let mut out = Vec::new();
        for o in 0..outer {
            parts.iter().for_each(|(values, each)| out.extend_from_slice(&values[o * each..(o + 1) * each]));
        }
        Arc::new(out)
    }
    let outer: usize = dims[..axis].iter().product();
    let each = |constant: &Constant| constant.dims[axis..].iter().product::<usize>();
    let kind = constants[0].kind();
    let data = if kind == Kind::Float {
        let parts: Vec<(&[f32], usize)> =
            constants.iter().filter_map(|c| Some((c.as_floats()?.as_slice(), each(c)))).collect();
        Data::Float(join(&parts, outer))
    } else {
        let parts: Vec<(&[i64], usize)> =
            constants.iter().filter_map(|c| Some((c.as_ints()?, each(c)))).collect();
        let values = join(&parts, outer);
        if kind == Kind::Int { Data::Int(values) } else { Data::Bool(values) }
    };
    Constant { dims, data }
}
