//! One Parquet file of one table: written under a temporary name, synced and renamed; read whole or by row ranges.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::{Array, RecordBatch, cast::AsArray};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowSelection,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::earlier::completed;
use super::schema::Row;
use super::seal::{self, Hashing, Seal};
use super::text::Text;
use crate::{Error, Result};

/// Rows handed to the encoder at a time, at most; fixed, so that a file's bytes depend on its rows alone.
pub(super) const BATCH_ROWS: usize = 4096;
/// Bytes of the rows in a row group before they are encoded, their texts left out.
const GROUP_BYTES: usize = 4 << 20;

/// How a file is compressed that stays.
pub(super) fn lasting() -> Compression {
    Compression::ZSTD(ZstdLevel::default())
}

/// How a file is compressed that is soon read again and removed: quickly, and with no working memory for each column.
pub(super) const PASSING: Compression = Compression::SNAPPY;

/// The name that a file has until it is whole; never ends in `.parquet`.
pub(super) fn temporary(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// What a failed read or write of `path` means to the user.
fn failure(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::Io { path: path.to_path_buf(), source: *source },
            Err(source) => Error::Failed(format!("{}: {source}", path.display())),
        },
        other => Error::Failed(format!("{}: {other}", path.display())),
    }
}

/// What an unreadable file means: the system's error, or content that is no table.
fn unreadable<R: Row>(path: &Path, error: ParquetError) -> Error {
    match failure(path, error) {
        Error::Failed(found) => {
            let expected = format!("a whole Parquet file with the table `{}`", R::TABLE);
            Error::input(path.display(), "Parquet", found, expected)
        }
        io => io,
    }
}

/// Encodes `batches` into `sink`, a row group at a time, with room for a checksum; `path` only names the errors.
pub(super) fn encode<R: Row, W: Write + Send>(
    mut sink: W,
    path: &Path,
    compression: Compression,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<W> {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(GROUP_BYTES / size_of::<R>().max(1)))
        .build();
    let fail = |error| failure(path, error);
    let mut writer = ArrowWriter::try_new(&mut sink, R::schema(), Some(properties)).map_err(fail)?;
    for batch in batches {
        writer.write(&batch?).map_err(fail)?;
    }
    writer.append_key_value_metadata(seal::blank());
    // Not `into_inner`: it turns the system's error into text.
    writer.close().map_err(fail)?;
    Ok(sink)
}

/// Writes `batches` under the temporary name of `path`, with their checksum, and syncs them to disk; a failure leaves no file.
pub(super) fn write_temporary<R: Row>(
    path: &Path,
    compression: Compression,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<()> {
    let temporary = temporary(path);
    // Read, too: the place of the checksum is looked for in the file.
    let written = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)
        .map_err(Error::io(&temporary))
        .and_then(|file| encode::<R, _>(Hashing::new(file), &temporary, compression, batches))
        .and_then(|file| file.close().and_then(|file| file.sync_all()).map_err(Error::io(&temporary)));
    if written.is_err() {
        // The first error is the one to report; opening the folder removes what is left.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Gives a file that [`write_temporary`] wrote its final name, durably.
pub(super) fn publish(path: &Path) -> Result<()> {
    fs::rename(temporary(path), path).map_err(Error::io(path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and removals in `folder` durable where the system can.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    // Windows cannot open a folder as a file; its renames are journalled.
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder))?;
    }
    Ok(())
}

/// Writes `rows` to `path` (temporary name, sync, rename).
///
/// # Errors
/// [`Error::Io`] naming the file where the system refuses (full disk, permissions); no half-written file remains.
pub fn write_rows<R: Row>(path: &Path, rows: &[R]) -> Result<()> {
    write_temporary::<R>(path, lasting(), batches_of(rows))?;
    publish(path)
}

/// The rows as batches of bounded size.
pub(super) fn batches_of<R: Row>(rows: &[R]) -> impl Iterator<Item = Result<RecordBatch>> {
    rows.chunks(BATCH_ROWS).map(R::to_batch)
}

/// Reads every row of `path`, its checksum first.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Input`] where it is no Parquet file, changed after it was written, or a column does
/// not fit.
pub fn read_rows<R: Row>(path: &Path) -> Result<Vec<R>> {
    seal::check(path)?;
    let mut rows = Vec::new();
    for batch in read_batches::<R>(path, None)? {
        rows.extend(R::from_batch(&batch?, path)?);
    }
    Ok(rows)
}

/// Whether `path` holds a whole Parquet file: its footer can be read, and its checksum, if it has one, fits.
///
/// # Errors
/// [`Error::Io`] where the system refuses; a file that merely is not Parquet is `Ok(false)`.
pub(super) fn is_whole(path: &Path) -> Result<bool> {
    if let Seal::Broken { .. } = Seal::of(path)? {
        return Ok(false);
    }
    let file = crate::files::open(path)?;
    match ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()) {
        Ok(_) => Ok(true),
        Err(error) => match failure(path, error) {
            Error::Io { path, source } if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                Err(Error::Io { path, source })
            }
            _ => Ok(false),
        },
    }
}

/// The batches of `path`, or of the given rows of it (ascending, none twice); with `R`'s columns in their order.
pub(super) fn read_batches<R: Row>(
    path: &Path,
    rows: Option<Vec<Range<usize>>>,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<R>> {
    let schema = R::schema();
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let reader = open::<R>(path, rows, &columns)?;
    let path = path.to_path_buf();
    Ok(reader.map(move |batch| {
        let batch =
            batch.map_err(|error| unreadable::<R>(&path, ParquetError::ArrowError(error.to_string())))?;
        completed::<R>(&batch, &path)
    }))
}

/// A reader of `columns` of `path`, of the given rows if there are any given.
fn open<R: Row>(
    path: &Path,
    rows: Option<Vec<Range<usize>>>,
    columns: &[&str],
) -> Result<ParquetRecordBatchReader> {
    let file = crate::files::open(path)?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| unreadable::<R>(path, e))?;
    if let Some(rows) = rows {
        let total = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let rows = rows.into_iter().map(|rows| rows.start.min(total)..rows.end.min(total));
        builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(rows, total));
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|e| unreadable::<R>(path, e))
}

/// The cells of `path` in file order, each with the rows that are its own. Whoever reads some of its rows asks this first, so that here is
/// where a file is held against its checksum.
pub(super) fn cell_ranges<R: Row>(path: &Path) -> Result<Vec<(Text, Range<usize>)>> {
    const KEY: &str = "cell_id";
    seal::check(path)?;
    let mut ranges: Vec<(Text, Range<usize>)> = Vec::new();
    let mut row = 0;
    for batch in open::<R>(path, None, &[KEY])? {
        let batch = batch.map_err(|e| unreadable::<R>(path, ParquetError::ArrowError(e.to_string())))?;
        let ids = batch
            .column_by_name(KEY)
            .and_then(|column| column.as_string_opt::<i32>())
            .filter(|ids| ids.null_count() == 0)
            .ok_or_else(|| {
                Error::input(path.display(), "column cell_id", "none", "a column of Utf8, never null")
            })?;
        for id in ids.iter().flatten() {
            match ranges.last_mut() {
                Some((last, range)) if *last == *id => range.end = row + 1,
                _ => ranges.push((id.into(), row..row + 1)),
            }
            row += 1;
        }
    }
    Ok(ranges)
}
