//! Subsets of a data set: which samples a limit leaves, and what tells two sample sets apart.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use percuss::data::{Labels, Request, ecg, open, phantom};

#[test]
fn limit_is_stratified_and_does_not_depend_on_other_samples() {
    let all = ecg::generate("val", 0).unwrap();
    let small = all.limited(100, 3).unwrap();
    assert_eq!(small.len(), 100);
    assert!(small.index.windows(2).all(|pair| pair[0] < pair[1]));
    let (Labels::Class(few), Labels::Class(many)) = (&small.labels, &all.labels) else { panic!() };
    for class in 0..5 {
        let share =
            |labels: &[u32]| labels.iter().filter(|&&l| l == class).count() as f64 / labels.len() as f64;
        assert!((share(few) - share(many)).abs() < 0.011, "class {class}");
    }
    // The same samples in another order: the same subset.
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.reverse();
    let mut again = all.subset(&order).unwrap().limited(100, 3).unwrap().index;
    again.sort_unstable();
    assert_eq!(again, small.index);
    assert_ne!(all.limited(100, 4).unwrap().index, small.index);
    // A larger limit keeps what a smaller one had.
    let larger = all.limited(300, 3).unwrap();
    assert!(small.index.iter().filter(|i| larger.index.contains(i)).count() >= 99);
    for (position, index) in small.index.iter().enumerate() {
        let original = all.index.iter().position(|i| i == index).unwrap();
        assert_eq!(small.sample(position), all.sample(original));
        assert_eq!(small.group.as_ref().unwrap()[position], all.group.as_ref().unwrap()[original]);
    }
    assert!(all.limited(0, 3).is_err());
    assert!(all.subset(&[all.len()]).is_err());
}

#[test]
fn fingerprint_follows_every_value_label_and_index() {
    let set = phantom::generate("val", 0).unwrap().limited(10, 0).unwrap();
    let print = set.sample_set_sha256();
    assert_eq!(print, set.clone().sample_set_sha256());
    let mut value = set.clone();
    value.values[17] += 1.0;
    let mut index = set.clone();
    index.index[3] += 1;
    let mut label = set.clone();
    let Labels::Class(labels) = &mut label.labels else { panic!() };
    labels[0] = 1 - labels[0];
    for other in [&value, &index, &label] {
        assert_ne!(other.sample_set_sha256(), print);
    }
}

#[test]
fn a_limit_beyond_what_is_there_is_told() {
    let told = |limit: usize| {
        let set =
            open(&Request { limit: Some(limit), ..Request::named("cxr-phantom", "val") }, None).unwrap();
        let limits = set.remarks.iter().filter(|remark| remark.text.contains("limit"));
        (set.len(), limits.map(|remark| remark.text.clone()).collect::<Vec<_>>())
    };
    let (all, said) = told(1_000_000);
    assert_eq!(said, [format!("limit = 1000000 leaves all {all} samples: there are no more")]);
    assert_eq!(told(all), (all, Vec::new()));
    assert_eq!(told(all - 1), (all - 1, Vec::new()));
}
