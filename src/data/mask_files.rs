//! Segmentations that lie among the images of a class: files of their own that are no samples.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Remark;

/// What a segmentation's folder is called, and what follows an image's name in the name of its segmentation.
const WORDS: [&str; 6] = ["mask", "masks", "seg", "segmentation", "segmentations", "segmentation_masks"];

/// What the folder of images beside one of segmentations is called.
const IMAGES: [&str; 7] = ["image", "images", "img", "imgs", "original", "originals", "scans"];

/// Whether a folder holds segmentations by its name.
pub(super) fn is_folder(path: &Path) -> bool {
    is_called(path, &WORDS)
}

/// Whether a folder holds the images of segmentations beside it by its name.
pub(super) fn is_of_images(path: &Path) -> bool {
    is_called(path, &IMAGES)
}

fn is_called(path: &Path, words: &[&str]) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    words.contains(&name.to_lowercase().replace(['-', ' '], "_").as_str())
}

/// The name of the image that a file of this name (without its ending) is a segmentation of: `x` of `x_mask`, `x-mask` and `x_mask_1`.
fn image_of(stem: &str) -> Option<&str> {
    let unnumbered = stem.trim_end_matches(|own: char| own.is_ascii_digit());
    let numbered = (unnumbered.len() < stem.len()).then(|| unnumbered.strip_suffix(['_', '-'])).flatten();
    [Some(stem), numbered].into_iter().flatten().find_map(|name| {
        let (image, word) = name.rsplit_once(['_', '-', ' '])?;
        WORDS.contains(&word.to_lowercase().as_str()).then_some(image)
    })
}

/// Takes those files of one folder out that are segmentations of others in it.
pub(super) fn split_off(files: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let stem = |file: &Path| file.file_stem().and_then(|stem| stem.to_str()).map(str::to_string);
    let stems: BTreeSet<String> = files.iter().filter_map(|file| stem(file)).collect();
    files.into_iter().partition(|file| {
        let own = stem(file);
        !own.as_deref().and_then(image_of).is_some_and(|image| stems.contains(image))
    })
}

/// How many were left out, and the first of them below `root`.
pub(super) fn told(root: &Path, left_out: &[PathBuf]) -> Option<Remark> {
    let first = left_out.first()?;
    Some(Remark::note(format!(
        "files that look like segmentation masks of images beside them are left out: {}, the first is {}",
        left_out.len(),
        first.strip_prefix(root).unwrap_or(first).display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmentation_is_told_by_the_image_that_its_name_begins_with() {
        let cases = [
            (vec!["a.png", "a_mask.png"], 1),
            (vec!["benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png"], 2),
            (vec!["a.jpg", "a-mask.gif", "a_Segmentation.png", "a_seg.png"], 3),
            (vec!["a_mask.png", "b_mask.png"], 0),
            (vec!["a.png", "b_mask.png", "a_1.png", "a_lateral.png", "mask.png"], 0),
        ];
        for (files, masks) in cases {
            let (_, out) = split_off(files.iter().map(PathBuf::from).collect());
            assert_eq!(out.len(), masks, "{files:?}: {out:?}");
        }
    }
}
