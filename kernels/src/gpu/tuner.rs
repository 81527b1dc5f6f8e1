//! The tuner: measures the ways to compute each class of matrix product once per adapter and driver, and keeps all timings.
//!
//! All variants without matrix units yield the same bits (see [`Variant`]), so what is taken, and whether a file says so, changes
//! only the time. Whether matrix units are used is decided once for all products that differ in nothing but their rows and their
//! number, so that no answer depends on how many lanes there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::device::lock;
use super::launch::SOURCES;
use super::{Adapter, Operands, Product, Variant, files};
use crate::Result;

/// Raised when what is measured, or how, changes without any kernel changing.
const VERSION: u32 = 1;
/// The best tiles whose siblings are measured, too.
const FINALISTS: usize = 2;

/// Gives a launch's seconds in each way, none for one that the adapter refuses.
type Timer<'a> = dyn FnMut(&[Variant]) -> Result<Vec<Option<f64>>> + 'a;

/// What is known of the variants on one adapter.
#[derive(Debug, Default)]
pub(super) struct Tuner {
    enabled: bool,
    file: Option<PathBuf>,
    stamp: Stamp,
    classes: Mutex<BTreeMap<String, Class>>,
    /// Whether a family of classes uses matrix units.
    families: Mutex<BTreeMap<String, bool>>,
    used: Mutex<BTreeMap<String, String>>,
}

/// What timings hold for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    version: u32,
    adapter: String,
    driver: String,
    /// Checksum of the kernels' text.
    kernels: String,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    stamp: Stamp,
    classes: BTreeMap<String, Class>,
    /// Whether the products of a family are computed by matrix units.
    matrix: BTreeMap<String, bool>,
}

/// A class of products: the variant taken, and microseconds of a launch of each that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    taken: String,
    microseconds: BTreeMap<String, f64>,
}

impl Tuner {
    /// One that measures, and starts from what an earlier run left in `folder`; or one that does nothing.
    pub(super) fn open(enabled: bool, info: &wgpu::AdapterInfo, folder: Option<&Path>) -> Self {
        if !enabled {
            return Self::default();
        }
        let driver = format!("{:?} {} {}", info.backend, info.driver, info.driver_info);
        let kernels = format!("{:016x}", files::checksum(SOURCES.concat().as_bytes()));
        let stamp = Stamp { version: VERSION, adapter: info.name.clone(), driver, kernels };
        let name = format!("tuning_{:?}_{}_{}.json", info.backend, info.vendor, info.device);
        let file = folder.map(|folder| folder.join(name.to_lowercase()));
        let (classes, families) = file.as_deref().map(|file| read(file, &stamp)).unwrap_or_default();
        let (classes, families) = (Mutex::new(classes), Mutex::new(families));
        Self { enabled, file, stamp, classes, families, used: Mutex::default() }
    }

    /// Whether products are measured.
    pub(super) fn enabled(&self) -> bool {
        self.enabled
    }

    /// What is taken for a product of op `op`. A class that is not known is measured: `time` gives a launch's seconds of
    /// each variant, none for one that the adapter refuses.
    pub(super) fn choose(
        &self,
        op: &str,
        product: &Product,
        adapter: &Adapter,
        time: &mut Timer<'_>,
    ) -> Result<Variant> {
        let name = product.class(op, adapter.operands);
        let family = product.family(op);
        // In f32 nothing is decided: there is one family.
        let choice = adapter.matrix.is_some() && adapter.operands != Operands::F32;
        let decided = lock(&self.families).get(&family).copied().filter(|_| choice);
        let allowed = |variant: &Variant| decided.is_none_or(|matrix| (variant.matrix > 0) == matrix);
        let all = Variant::all(adapter);
        let named = |class: &Class| all.iter().find(|v| v.to_string() == class.taken && allowed(v)).copied();
        let known = lock(&self.classes).get(&name).cloned();
        let mut taken = known.as_ref().and_then(named);
        if taken.is_none() {
            let class = measure(product, adapter, &allowed, time)?;
            taken = named(&class);
            lock(&self.classes).insert(name.clone(), class);
        }
        let taken = taken.unwrap_or(Variant::tiles(product, adapter)[0]);
        if choice && decided.is_none() {
            let first = *lock(&self.families).entry(family).or_insert(taken.matrix > 0);
            if first != (taken.matrix > 0) {
                // Another program decided meanwhile.
                return self.choose(op, product, adapter, time);
            }
        }
        lock(&self.used).insert(name, taken.to_string());
        Ok(taken)
    }

    /// Puts what was measured into the file, with what other processes put there meanwhile.
    pub(super) fn keep(&self) {
        let Some(file) = &self.file else { return };
        let (mut classes, mut matrix) = read(file, &self.stamp);
        let ours = lock(&self.classes).clone();
        if ours.iter().all(|(name, class)| classes.get(name) == Some(class)) {
            return;
        }
        classes.extend(ours);
        matrix.extend(lock(&self.families).clone());
        let kept = Kept { stamp: self.stamp.clone(), classes, matrix };
        if let Ok(text) = serde_json::to_string_pretty(&kept) {
            files::replace(file, text.as_bytes());
        }
    }

    /// What programs of this device took, as JSON; none if nothing was tuned.
    pub(super) fn used(&self) -> Option<String> {
        let used = lock(&self.used);
        (!used.is_empty()).then(|| serde_json::json!(*used).to_string())
    }
}

/// What is known, by name.
type Known = (BTreeMap<String, Class>, BTreeMap<String, bool>);

/// The classes and families in a file, none if it is of another adapter, driver or version, or no file of ours.
fn read(file: &Path, stamp: &Stamp) -> Known {
    let kept = files::read(file).and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    kept.filter(|kept| kept.stamp == *stamp).map(|kept| (kept.classes, kept.matrix)).unwrap_or_default()
}

/// Measures the tiles that are allowed, then the siblings of the best ones.
fn measure(
    product: &Product,
    adapter: &Adapter,
    allowed: &dyn Fn(&Variant) -> bool,
    time: &mut Timer<'_>,
) -> Result<Class> {
    let mut timed: Vec<(Variant, f64)> = vec![];
    let mut add = |variants: &[Variant], timed: &mut Vec<(Variant, f64)>| -> Result<()> {
        let seconds = time(variants)?;
        timed
            .extend(variants.iter().zip(seconds).filter_map(|(variant, seconds)| Some((*variant, seconds?))));
        timed.sort_by(|a, b| a.1.total_cmp(&b.1));
        Ok(())
    };
    let tiles: Vec<Variant> = Variant::tiles(product, adapter).into_iter().filter(allowed).collect();
    add(&tiles, &mut timed)?;
    let finalists: Vec<Variant> = timed.iter().take(FINALISTS).map(|(variant, _)| *variant).collect();
    let siblings: Vec<Variant> = finalists.iter().flat_map(|variant| variant.siblings(adapter)).collect();
    add(&siblings, &mut timed)?;
    let taken = timed.first().map_or_else(String::new, |(variant, _)| variant.to_string());
    let microseconds = timed.into_iter().map(|(variant, seconds)| (variant.to_string(), seconds * 1e6));
    Ok(Class { taken, microseconds: microseconds.collect() })
}

#[cfg(test)]
mod tests {
    use super::super::Matrix;
    use super::*;

    fn product() -> Product {
        Product { m: 1000, n: 64, k: 576, z: 1, operands: "n, n".into(), weights: None }
    }

    /// A driver on which one variant is the fastest, and one is refused.
    fn timer(best: Variant, refused: Variant) -> impl FnMut(&[Variant]) -> Result<Vec<Option<f64>>> {
        move |variants| {
            let seconds = |variant: &Variant| match *variant {
                variant if variant == refused => None,
                variant if variant == best => Some(1e-6),
                variant if variant.block == best.block && variant.own == best.own => Some(2e-6),
                _ => Some(3e-6),
            };
            Ok(variants.iter().map(seconds).collect())
        }
    }

    #[test]
    fn the_fastest_is_taken_even_if_only_a_sibling_shows_it() {
        let adapter = Adapter { workgroup_memory: 1 << 16, ..Adapter::HARDWARE };
        let tiles = Variant::tiles(&product(), &adapter);
        assert!(tiles.len() > 3, "{tiles:?}");
        let best = Variant { double: true, ..*tiles.last().unwrap_or(&tiles[0]) };
        let tuner = Tuner { enabled: true, ..Tuner::default() };
        let taken = tuner.choose("matmul", &product(), &adapter, &mut timer(best, tiles[0])).ok();
        assert_eq!(taken, Some(best));
        let class = lock(&tuner.classes)[&product().class("matmul", adapter.operands)].clone();
        assert_eq!(class.taken, best.to_string());
        assert!(
            class.microseconds.len() > tiles.len() && !class.microseconds.contains_key(&tiles[0].to_string())
        );
        // Known now: nothing is measured again, for neighbours of its class neither.
        let near = Product { m: 1024, ..product() };
        let again = tuner.choose("matmul", &near, &adapter, &mut |_| panic!("measured again")).ok();
        assert_eq!(again, Some(best));
        assert_eq!(tuner.used().map(|text| text.contains(&best.to_string())), Some(true));
    }

    /// A tuner of a run, with its file in the place of `name`, which is empty at first.
    fn kept(name: &str, driver: &str) -> Tuner {
        let file = std::env::temp_dir().join(format!("percuss-tuner-{name}-{}.json", std::process::id()));
        let stamp = Stamp { version: VERSION, driver: driver.into(), ..Stamp::default() };
        let (classes, families) = read(&file, &stamp);
        let (classes, families) = (Mutex::new(classes), Mutex::new(families));
        Tuner { enabled: true, file: Some(file), stamp, classes, families, used: Mutex::default() }
    }

    /// Whether a tuner measures a product, with what it takes.
    fn asked(tuner: &Tuner, product: &Product) -> (bool, Option<Variant>) {
        let adapter = Adapter::HARDWARE;
        let all = Variant::all(&adapter);
        let mut timer = timer(all[1], all[0]);
        let mut measured = false;
        let mut time = |variants: &[Variant]| {
            measured = true;
            timer(variants)
        };
        let taken = tuner.choose("matmul", product, &adapter, &mut time).ok();
        tuner.keep();
        (measured, taken)
    }

    #[test]
    fn files_hold_for_their_driver_and_damaged_ones_are_measured_anew() {
        let first = kept("stale", "a");
        let file = first.file.clone().unwrap_or_default();
        let (measured, taken) = asked(&first, &product());
        assert!(measured && taken.is_some());
        let whole = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(asked(&kept("stale", "a"), &product()), (false, taken));
        let wrong = [
            String::new(),
            "[".repeat(100_000),
            whole[..whole.len() / 2].to_owned(),
            whole.replace("\"version\": 1", "\"version\": 0"),
            whole.replace("\"driver\": \"a\"", "\"driver\": \"of last year\""),
            whole.replace("\"taken\": \"", "\"taken\": \"no such variant "),
        ];
        for text in wrong {
            assert!(text != whole && std::fs::write(&file, &text).is_ok());
            assert_eq!(asked(&kept("stale", "a"), &product()), (true, taken), "{text:.80}");
            assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), whole);
        }
        assert_eq!(asked(&kept("stale", "b"), &product()), (true, taken));
        let _ = std::fs::remove_file(file);
    }

    #[test]
    fn processes_that_tune_at_once_keep_each_others_classes() {
        let other = Product { n: 65, ..product() };
        let (one, two) = (kept("together", "a"), kept("together", "a"));
        assert!(asked(&one, &product()).0 && asked(&two, &other).0);
        let third = kept("together", "a");
        assert!(!asked(&third, &product()).0 && !asked(&third, &other).0);
        let _ = std::fs::remove_file(third.file.unwrap_or_default());
    }

    #[test]
    fn the_use_of_matrix_units_does_not_follow_the_lanes() {
        let matrix = Some(Matrix { side: 16, lanes: 32 });
        let adapter = Adapter { workgroup_memory: 1 << 16, matrix, ..Adapter::HARDWARE };
        let half = Adapter { operands: Operands::Kept, ..adapter.clone() };
        assert!(Variant::all(&adapter).iter().all(|variant| variant.matrix == 0));
        let best = *Variant::all(&half)
            .iter()
            .rfind(|variant| variant.matrix > 0 && variant.quads)
            .unwrap_or(&Variant::all(&half)[0]);
        assert_eq!(best.matrix, 16);
        let tuner = Tuner { enabled: true, ..Tuner::default() };
        let choose = |m: usize, best: Variant, adapter: &Adapter| {
            let mut time = |variants: &[Variant]| {
                Ok(variants.iter().map(|v| Some(if *v == best { 1e-6 } else { 2e-6 })).collect())
            };
            tuner.choose("matmul", &Product { m, ..product() }, adapter, &mut time).ok()
        };
        assert_eq!(choose(5000, best, &half), Some(best));
        // With few rows another way were faster, but the family is decided.
        let plain = Variant::all(&half)[0];
        assert_eq!(choose(10, plain, &half).map(|taken| taken.matrix), Some(16));
        // f32 knows no matrix units.
        assert_eq!(choose(10, plain, &adapter).map(|taken| taken.matrix), Some(0));
    }

    #[test]
    fn names_tell_variants_apart() {
        let adapter = Adapter { workgroup_memory: 1 << 16, max_invocations: 1024, ..Adapter::HARDWARE };
        let names: std::collections::HashSet<String> =
            Variant::all(&adapter).iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), Variant::all(&adapter).len());
        assert_eq!(names.len(), 72);
    }
}
