//! Choosing samples: a stratified subset that does not depend on the order of a file, and its fingerprint.

use sha2::{Digest, Sha256};

use super::{Dataset, Labels, draw};
use crate::{Error, Result};

impl Dataset {
    /// The samples at `positions`, in that order.
    ///
    /// # Errors
    /// A position that is not below [`Dataset::len`].
    pub fn subset(&self, positions: &[usize]) -> Result<Self> {
        if let Some(&bad) = positions.iter().find(|&&p| p >= self.len()) {
            return Err(Error::input(&self.name, "position", bad, format!("below {}", self.len())));
        }
        let labels = match &self.labels {
            Labels::Class(all) => Labels::Class(pick(all, positions)),
            Labels::Findings(all) => {
                let k = self.classes.len();
                Labels::Findings(positions.iter().flat_map(|&p| all[p * k..][..k].iter().copied()).collect())
            }
        };
        let subgroups = self.subgroups.iter().map(|(k, v)| (k.clone(), pick(v, positions))).collect();
        Ok(Self {
            values: positions.iter().flat_map(|&p| self.sample(p).iter().copied()).collect(),
            labels,
            group: self.group.as_ref().map(|g| pick(g, positions)),
            subgroups,
            index: pick(&self.index, positions),
            name: self.name.clone(),
            split: self.split.clone(),
            sha256: self.sha256.clone(),
            shape: self.shape.clone(),
            inputs: self.inputs.clone(),
            classes: self.classes.clone(),
            unit: self.unit.clone(),
            domain: self.domain.clone(),
            synthetic: self.synthetic,
            samples_per_second: self.samples_per_second,
            remarks: self.remarks.clone(),
        })
    }

    /// At most `limit` samples, in the file's order: every class keeps its share (and at least one sample where
    /// `limit` allows), and within a class those with the smallest hash of (`seed`, index) stay.
    ///
    /// # Errors
    /// A `limit` of 0.
    pub fn limited(&self, limit: usize, seed: u64) -> Result<Self> {
        if limit == 0 {
            return Err(Error::input(&self.name, "limit", 0, "at least 1"));
        }
        let mut strata: Vec<Vec<usize>> = vec![Vec::new(); self.classes.len() + 1];
        for position in 0..self.len() {
            strata[self.stratum(position)].push(position);
        }
        let quotas = quotas(&strata.iter().map(Vec::len).collect::<Vec<_>>(), limit);
        let mut kept = Vec::with_capacity(limit.min(self.len()));
        for (stratum, quota) in strata.iter_mut().zip(quotas) {
            stratum.sort_by_key(|&p| (draw::mix(seed, self.index[p]), self.index[p]));
            kept.extend_from_slice(&stratum[..quota]);
        }
        kept.sort_unstable();
        self.subset(&kept)
    }

    /// SHA-256 over the samples themselves: shape, and for each its index, label and values.
    ///
    /// Two data sets with equal fingerprints give an attack the same work, whatever file they came from.
    pub fn sample_set_sha256(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"percuss samples 1\n");
        for &extent in &self.shape {
            hash.update((extent as u64).to_le_bytes());
        }
        for (position, index) in self.index.iter().enumerate() {
            hash.update(index.to_le_bytes());
            match &self.labels {
                Labels::Class(labels) => hash.update(labels[position].to_le_bytes()),
                Labels::Findings(labels) => {
                    hash.update(&labels[position * self.classes.len()..][..self.classes.len()]);
                }
            }
            for value in self.sample(position) {
                hash.update(value.to_bits().to_le_bytes());
            }
        }
        hex(&hash.finalize())
    }

    /// The class, or one more than the first finding (0 where there is none).
    fn stratum(&self, position: usize) -> usize {
        match &self.labels {
            Labels::Class(labels) => labels[position] as usize,
            Labels::Findings(labels) => {
                let k = self.classes.len();
                labels[position * k..][..k].iter().position(|&f| f == 1).map_or(0, |f| f + 1)
            }
        }
    }
}

/// SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn pick<T: Clone>(all: &[T], positions: &[usize]) -> Vec<T> {
    positions.iter().map(|&p| all[p].clone()).collect()
}

/// Shares `limit` among strata in proportion to their sizes (largest remainder), one at least for each that has any.
fn quotas(sizes: &[usize], limit: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    if limit >= total {
        return sizes.to_vec();
    }
    let exact: Vec<u128> = sizes.iter().map(|&s| s as u128 * limit as u128).collect();
    let mut quotas: Vec<usize> = exact.iter().map(|e| (e / total as u128) as usize).collect();
    let occupied = sizes.iter().filter(|&&s| s > 0).count();
    if limit >= occupied {
        for (quota, &size) in quotas.iter_mut().zip(sizes) {
            *quota = (*quota).max(usize::from(size > 0));
        }
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&k| (std::cmp::Reverse(exact[k] % total as u128), k));
    while quotas.iter().sum::<usize>() < limit {
        let grown = order.iter().copied().find(|&k| quotas[k] < sizes[k] && exact[k] > 0);
        let Some(k) = grown else { break };
        quotas[k] += 1;
        order.retain(|&other| other != k);
        if order.is_empty() {
            order = (0..sizes.len()).collect();
        }
    }
    while quotas.iter().sum::<usize>() > limit {
        // Raising rare classes to one sample took too many: the largest stratum gives them back.
        let Some(k) = (0..sizes.len()).max_by_key(|&k| (quotas[k], std::cmp::Reverse(k))) else { break };
        quotas[k] -= 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::quotas;

    #[test]
    fn quotas_are_proportional_and_leave_no_class_out() {
        assert_eq!(quotas(&[50, 30, 20], 10), [5, 3, 2]);
        assert_eq!(quotas(&[990, 5, 5], 10), [8, 1, 1]);
        assert_eq!(quotas(&[3, 0, 4], 100), [3, 0, 4]);
        assert_eq!(quotas(&[5, 5, 5], 2).iter().sum::<usize>(), 2);
        for limit in 1..60 {
            let q = quotas(&[1, 40, 7, 0, 13], limit);
            assert_eq!(q.iter().sum::<usize>(), limit);
            assert!(q.iter().zip([1, 40, 7, 0, 13]).all(|(&a, b)| a <= b));
        }
    }
}
