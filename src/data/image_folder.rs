//! A folder of images with a folder a class in it, as torchvision's `ImageFolder` reads it, optionally below `train`, `val` and `test`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::image_set::{self, Listed};
use super::labels::{Classes, Place, Written, classes, folders_in_order};
use super::split_names::usual;
use super::subset::sha256;
use super::{Dataset, Labels, Request, mask_files, picture};
use crate::{Error, Result};

const SPLITS: [&str; 3] = ["train", "val", "test"];
/// More files than these in one folder are taken for a mistake.
const MAX_FILES: usize = 10_000_000;

/// Whether the folder holds folders of images: the first file of one of them, at most two folders down, is an image.
///
/// # Errors
/// A folder that cannot be listed.
pub fn is_one(path: &Path) -> Result<bool> {
    for folder in folders(&root(path, &mut Vec::new())?)? {
        let mut deeper = folders(&folder)?;
        deeper.extend(folders(&root(&folder, &mut Vec::new())?)?);
        for own in std::iter::once(&folder).chain(&deeper) {
            if files(own)?.first().is_some_and(|file| begins_as_image(file)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn begins_as_image(file: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let opened = crate::files::open(file).ok();
    opened.is_some_and(|file| file.take(132).read_to_end(&mut head).is_ok())
        && (picture::is_image(&head) || picture::is_unread_image(&head))
}

/// Reads the images below `path`; the names of their folders are their classes.
///
/// # Errors
/// No such split, names whose order nobody says, and what [`image_set::read`] refuses.
pub fn open(path: &Path, request: &Request) -> Result<Dataset> {
    let (mut listed, mut names, mut masks) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    let mut beside = Vec::new();
    refuse_without_classes(path)?;
    let whole = root(path, &mut beside)?;
    let split_folders = split_folders(&whole, &beside)?;
    let parts: Vec<(Option<&str>, PathBuf)> = match split_folders.is_empty() {
        true => vec![(None, whole)],
        false => split_folders.into_iter().map(|(split, folder)| (Some(split), folder)).collect(),
    };
    let known: Vec<&str> = parts.iter().filter_map(|(split, _)| *split).collect();
    for (split, folder) in &parts {
        let wanted = request.split == "all" || *split == Some(request.split.as_str());
        let mut own = Vec::new();
        let folder = match split {
            Some(_) => {
                refuse_without_classes(folder)?;
                root(folder, &mut own)?
            }
            None => folder.clone(),
        };
        beside.extend(own.into_iter().filter(|_| wanted));
        for class in folders(&folder)?.into_iter().filter(|class| !beside.contains(class)) {
            let name = class.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
                Error::input(class.display(), "folder", "a name that is no UTF-8", "the class in words")
            })?;
            // A sample's index counts through all splits, so that it is the same whichever is opened.
            let Below { images, masks: own } = below(&class)?;
            masks.extend(own.into_iter().filter(|_| wanted));
            for file in images {
                if wanted {
                    listed.push((first, file));
                    names.push(name.to_string());
                }
                first += 1;
            }
        }
    }
    let place = |at: usize| format!("file {at}");
    let file = path.display().to_string();
    if listed.is_empty() {
        let found = if known.is_empty() { "no folders of splits".into() } else { known.join(", ") };
        let expected = "a folder called after the split, or split = \"all\" in a study's [[data]]; a TRAIN.toml, or a [[recipe]], needs the folders train and test (and \
                        val, or val = \"none\")";
        return Err(Error::input(&file, format!("split {}", request.split), found, expected));
    }
    let place = Place { file: &file, column: "the folders' names", entry: &place };
    folders_in_order(&names, &request.known(), &place)?;
    let Classes { labels, names: classes, mut remarks } =
        classes(&Written::Texts(names.clone()), &request.known(), &place)?;
    for folder in &beside {
        let own = below(folder)?;
        masks.extend(own.images.into_iter().chain(own.masks));
    }
    remarks.extend(mask_files::told(path, &masks));
    let relative: Vec<String> = listed
        .iter()
        .map(|(_, file)| file.strip_prefix(path).unwrap_or(file).display().to_string())
        .collect();
    let where_is: BTreeMap<u64, PathBuf> =
        listed.iter().map(|(index, file)| (*index, file.clone())).collect();
    let listed = Listed {
        name: file.clone(),
        split: request.split.clone(),
        sha256: sha256(relative.join("\n").as_bytes()),
        labels: Labels::Class(labels),
        classes,
        index: listed.iter().map(|(index, _)| *index).collect(),
        subgroups: BTreeMap::new(),
        remarks,
    };
    let locate = |index: u64| Ok(where_is.get(&index).cloned().unwrap_or_default());
    image_set::read(listed, &locate, request)
}

/// Where the classes (or splits) of a folder begin: in it, or in its `images` beside `masks`. Folders of segmentations, which have the same
/// folders as the images beside them, are added to `masks`.
fn root(path: &Path, masks: &mut Vec<PathBuf>) -> Result<PathBuf> {
    let names = |folder: &Path| -> Result<BTreeSet<OsString>> {
        Ok(folders(folder)?.iter().filter_map(|own| Some(own.file_name()?.to_os_string())).collect())
    };
    let (of_masks, others): (Vec<PathBuf>, Vec<PathBuf>) =
        folders(path)?.into_iter().partition(|folder| mask_files::is_folder(folder));
    let images = match others.as_slice() {
        [one] if mask_files::is_of_images(one) => one.clone(),
        _ => path.to_path_buf(),
    };
    let classes = names(&images)?;
    let mut own = Vec::new();
    for folder in of_masks {
        let theirs = names(&folder)?;
        if !theirs.is_empty() && theirs.is_subset(&classes) {
            own.push(folder);
        }
    }
    let beside = !own.is_empty();
    masks.extend(own);
    Ok(if beside { images } else { path.to_path_buf() })
}

/// Images beside their segmentations with nothing that says their classes are no classes of these names.
fn refuse_without_classes(path: &Path) -> Result<()> {
    let (of_masks, others): (Vec<PathBuf>, Vec<PathBuf>) =
        folders(path)?.into_iter().partition(|folder| mask_files::is_folder(folder));
    match others.as_slice() {
        [one] if !of_masks.is_empty() && mask_files::is_of_images(one) && folders(one)?.is_empty() => {
            let found = "images beside segmentation masks, and no folders of classes";
            let expected = "a folder for each class; or manifest = \"FILE.csv\" in the place of path, with columns path and label";
            Err(Error::input(path.display(), "folder", found, expected))
        }
        _ => Ok(()),
    }
}

/// The folders that are called after splits, in the order of splits; none unless all folders are but those of `masks`.
fn split_folders(path: &Path, masks: &[PathBuf]) -> Result<Vec<(&'static str, PathBuf)>> {
    let named = |folder: &Path, split: &str| {
        folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| usual(name) == Some(split))
    };
    let all: Vec<PathBuf> = folders(path)?.into_iter().filter(|own| !masks.contains(own)).collect();
    let of_split =
        |split: &'static str| all.iter().filter(move |f| named(f, split)).map(move |f| (split, f.clone()));
    let found: Vec<(&str, PathBuf)> = SPLITS.iter().flat_map(|&split| of_split(split)).collect();
    Ok(if found.len() == all.len() { found } else { Vec::new() })
}

/// What is in a folder, by name; what begins with a dot is left out.
fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io(path))? {
        let entry = entry.map_err(Error::io(path))?.path();
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden {
            entries.push(entry);
        }
        if entries.len() > MAX_FILES {
            let expected = format!("at most {MAX_FILES}");
            return Err(Error::input(path.display(), "folder", "more files", expected));
        }
    }
    entries.sort();
    Ok(entries)
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect())
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let system =
        |file: &PathBuf| file.file_name().is_some_and(|name| name == "Thumbs.db" || name == "desktop.ini");
    Ok(entries(path)?.into_iter().filter(|entry| !entry.is_dir() && !system(entry)).collect())
}

/// The files of a class.
struct Below {
    images: Vec<PathBuf>,
    /// Segmentations of them.
    masks: Vec<PathBuf>,
}

/// All files of a class, those of folders in it as well (one a patient, say). A folder of segmentations is one where images are beside it.
fn below(class: &Path) -> Result<Below> {
    let (images, masks) = mask_files::split_off(files(class)?);
    let mut all = Below { images, masks };
    let (of_masks, others): (Vec<PathBuf>, Vec<PathBuf>) =
        folders(class)?.into_iter().partition(|folder| mask_files::is_folder(folder));
    for folder in others {
        let own = below(&folder)?;
        all.images.extend(own.images);
        all.masks.extend(own.masks);
    }
    let beside = !all.images.is_empty();
    for folder in of_masks {
        let own = below(&folder)?;
        if beside { &mut all.masks } else { &mut all.images }.extend(own.images);
        all.masks.extend(own.masks);
    }
    Ok(all)
}
