//! Reading tables from Parquet files.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::csv::numbers_rows;
use super::texts::Texts;
use super::{Cells, MAX_CELLS, Raw, Wanted};
use crate::memory::Room;
use crate::{Error, Result};

/// Reads the wanted columns of the Parquet file at `path`: numbers, decimals and booleans (0, 1) become numbers, texts stay texts; anything
/// else is refused only where it is used.
///
/// # Errors
/// A file that is no Parquet file or is damaged, a compression that is not read, more cells than [`MAX_CELLS`].
pub(super) fn read(path: &Path, room: Room, wanted: Wanted) -> Result<Raw> {
    let file = crate::files::open(path)?;
    let bad = |error: &dyn std::fmt::Display| refused(path, &error.to_string());
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| bad(&e))?;
    let all: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let index_columns = index_columns(&builder, &all);
    let kept: Vec<usize> = (0..all.len()).filter(|k| wanted(&all[*k])).collect();
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(u64::MAX);
    let cells = rows.saturating_mul(kept.len() as u64);
    if cells > MAX_CELLS {
        let found = format!("{rows} rows by {} columns", kept.len());
        let expected = format!("at most {MAX_CELLS} cells: drop columns, or part the file");
        return Err(Error::input(path.display(), "size", found, expected));
    }
    let fields: Vec<_> = kept.iter().map(|k| builder.schema().field(*k).clone()).collect();
    let least: u64 = fields.iter().map(|field| rows.saturating_mul(cell_bytes(field.data_type()))).sum();
    // What others take meanwhile does not count twice.
    let room = Room::of(Some(room.most()));
    let afford = |texts: u64| {
        let taken = u128::from(least) + u128::from(TEXT_BYTE * texts);
        room.afford(path.display(), "size", taken, ": drop columns, or part the file")
    };
    afford(0)?;
    let mut texts = 0;
    let mask = ProjectionMask::roots(builder.parquet_schema(), kept.iter().copied());
    let mut columns: Vec<Cells> = fields.iter().map(|field| empty(field.data_type())).collect();
    for batch in builder.with_projection(mask).build().map_err(|e| bad(&e))? {
        let batch = batch.map_err(|e| bad(&e))?;
        for (whole, array) in columns.iter_mut().zip(batch.columns()) {
            let more = part(array);
            // How long texts are no file says before they are read: a dictionary has each once.
            texts += more.text_bytes() as u64;
            afford(texts)?;
            // One schema holds for all batches, so that a column cannot change its type.
            whole.append(more).map_err(|found| Error::input(path.display(), "column", found, "one type"))?;
        }
    }
    let unread = all
        .iter()
        .enumerate()
        .filter(|(k, _)| kept.binary_search(k).is_err())
        .map(|(_, name)| name.clone())
        .collect();
    let names = kept.iter().map(|k| all[*k].clone()).collect();
    Ok(Raw { names, cells: columns, unread, index_columns, remarks: Vec::new() })
}

/// Bytes of memory for each byte of a column's texts: in the column, which grows by doubling, and as a value of its own (measured: 2.6).
const TEXT_BYTE: u64 = 3;

/// Bytes of memory for a cell, texts' own bytes aside: in its column and as the value that is made of it (measured over 1 to 10 columns of a
/// million rows: numbers 33 to 44, texts 84 to 127 with their bytes).
fn cell_bytes(of: &DataType) -> u64 {
    match empty(of) {
        Cells::Number { .. } => 48,
        _ => 100,
    }
}

/// Files that are sound and use what is not read are not called damaged.
fn refused(path: &Path, message: &str) -> Error {
    let lower = message.to_lowercase();
    let unread =
        ["disabled feature", "not supported", "unsupported", "not yet implemented", "nyi", "encrypted"];
    let expected = if unread.iter().any(|word| lower.contains(word)) {
        "Parquet without encryption, compressed with snappy, gzip, zstd, lz4, brotli or not at all: df.to_parquet(FILE, compression=\"zstd\") writes it"
    } else {
        "an undamaged Parquet file"
    };
    Error::input(path.display(), "parquet", message, expected)
}

/// The columns that pandas' own metadata call the index, and those that are named as pandas names one.
fn index_columns(builder: &ParquetRecordBatchReaderBuilder<File>, names: &[String]) -> Vec<String> {
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let text = metadata.and_then(|pairs| pairs.iter().find(|pair| pair.key == "pandas")?.value.as_ref());
    let pandas: serde_json::Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    // A range is an object there: it is no column.
    let stated: Vec<&str> =
        pandas["index_columns"].as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
    names.iter().filter(|name| stated.contains(&name.as_str()) || numbers_rows(name)).cloned().collect()
}

fn empty(of: &DataType) -> Cells {
    match of {
        DataType::Dictionary(_, values) => empty(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Cells::Text(Texts::default()),
        other if is_number(other) => Cells::Number { values: Vec::new(), exact: None },
        other => Cells::Other { what: described(other), texts: Texts::default() },
    }
}

fn is_number(of: &DataType) -> bool {
    let decimal = matches!(of, DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..));
    of.is_integer() || of.is_floating() || decimal || *of == DataType::Boolean
}

fn described(of: &DataType) -> String {
    match of {
        DataType::Date32 | DataType::Date64 => "dates".into(),
        DataType::Timestamp(..) => "times (TIMESTAMP)".into(),
        DataType::Time32(_) | DataType::Time64(_) => "times of day".into(),
        DataType::Duration(_) | DataType::Interval(_) => "durations".into(),
        DataType::FixedSizeBinary(16) => "16 bytes a value (UUID)".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytes".into()
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Map(..) => {
            "lists".into()
        }
        DataType::Null => "no value at all".into(),
        other => format!("values of type {other}"),
    }
}

fn part(array: &ArrayRef) -> Cells {
    match array.data_type() {
        DataType::Boolean => Cells::Number {
            values: array.as_boolean().iter().map(|v| v.map(f64::from)).collect(),
            exact: None,
        },
        DataType::Float16 => floats::<Float16Type>(array, |v| v.to_f64()),
        DataType::Float32 => floats::<Float32Type>(array, f64::from),
        DataType::Float64 => floats::<Float64Type>(array, |v| v),
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        DataType::Utf8 => Cells::Text(
            array.as_string::<i32>().iter().map(Option::unwrap_or_default).map(str::trim).collect(),
        ),
        DataType::LargeUtf8 => Cells::Text(
            array.as_string::<i64>().iter().map(Option::unwrap_or_default).map(str::trim).collect(),
        ),
        DataType::Utf8View => {
            Cells::Text(array.as_string_view().iter().map(Option::unwrap_or_default).map(str::trim).collect())
        }
        DataType::Dictionary(_, _) => dictionary(array),
        other => Cells::Other { what: described(other), texts: other_texts(array) },
    }
}

fn primitives<T: ArrowPrimitiveType>(array: &ArrayRef) -> impl Iterator<Item = Option<T::Native>> {
    let values: &PrimitiveArray<T> = array.as_primitive::<T>();
    values.iter()
}

/// A NaN in a floating-point column is a missing value: that is how pandas writes one.
fn floats<T: ArrowPrimitiveType>(array: &ArrayRef, to_f64: fn(T::Native) -> f64) -> Cells {
    let values = primitives::<T>(array).map(|v| v.map(to_f64).filter(|v| !v.is_nan())).collect();
    Cells::Number { values, exact: None }
}

fn integers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Cells
where
    T::Native: Into<i128>,
{
    from_digits(primitives::<T>(array).map(|v| v.map(Into::into)), 0)
}

fn decimals<T: ArrowPrimitiveType>(array: &ArrayRef, scale: i8) -> Cells
where
    T::Native: Into<i128>,
{
    from_digits(primitives::<T>(array).map(|v| v.map(Into::into)), scale)
}

/// Whole numbers of `10^-scale`.
fn from_digits(digits: impl Iterator<Item = Option<i128>>, scale: i8) -> Cells {
    let digits: Vec<Option<i128>> = digits.collect();
    let text = |value: i128| format!("{value}e{}", -i32::from(scale));
    let number =
        |value: i128| if scale == 0 { value as f64 } else { text(value).parse().unwrap_or(f64::NAN) };
    let exact = digits.iter().flatten().any(|value| value.unsigned_abs() > 1 << 53).then(|| {
        let shown = |v: &Option<i128>| {
            v.map(|v| if scale == 0 { v.to_string() } else { text(v) }).unwrap_or_default()
        };
        digits.iter().map(shown).collect()
    });
    Cells::Number { values: digits.into_iter().map(|v| v.map(number)).collect(), exact }
}

fn dictionary(array: &ArrayRef) -> Cells {
    let dictionary = array.as_any_dictionary();
    let keys = dictionary.normalized_keys();
    let row = |row: usize| (!dictionary.keys().is_null(row)).then(|| keys[row]);
    let rows = || (0..array.len()).map(row);
    let texts = |texts: &Texts| {
        rows().map(|k| k.filter(|k| *k < texts.len()).map_or("", |k| texts.get(k))).collect::<Texts>()
    };
    match part(dictionary.values()) {
        Cells::Text(values) => Cells::Text(texts(&values)),
        Cells::Number { values, exact } => Cells::Number {
            exact: exact.as_ref().map(texts),
            values: rows().map(|k| *values.get(k?)?).collect(),
        },
        Cells::Other { what, texts: values } => Cells::Other { what, texts: texts(&values) },
    }
}

/// What tells values apart that are neither numbers nor texts: the counts that dates and times are stored as, bytes as hexadecimal digits.
fn other_texts(array: &ArrayRef) -> Texts {
    fn counts<T: ArrowPrimitiveType>(array: &ArrayRef) -> Texts
    where
        T::Native: std::fmt::Display,
    {
        primitives::<T>(array).map(|v| v.map(|v| v.to_string()).unwrap_or_default()).collect()
    }
    let hex = |bytes: Option<&[u8]>| {
        bytes.unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    match array.data_type() {
        DataType::Date32 => counts::<Date32Type>(array),
        DataType::Date64 => counts::<Date64Type>(array),
        DataType::Timestamp(TimeUnit::Second, _) => counts::<TimestampSecondType>(array),
        DataType::Timestamp(TimeUnit::Millisecond, _) => counts::<TimestampMillisecondType>(array),
        DataType::Timestamp(TimeUnit::Microsecond, _) => counts::<TimestampMicrosecondType>(array),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => counts::<TimestampNanosecondType>(array),
        DataType::Time32(TimeUnit::Second) => counts::<Time32SecondType>(array),
        DataType::Time32(TimeUnit::Millisecond) => counts::<Time32MillisecondType>(array),
        DataType::Time64(TimeUnit::Microsecond) => counts::<Time64MicrosecondType>(array),
        DataType::Time64(TimeUnit::Nanosecond) => counts::<Time64NanosecondType>(array),
        DataType::Duration(TimeUnit::Second) => counts::<DurationSecondType>(array),
        DataType::Duration(TimeUnit::Millisecond) => counts::<DurationMillisecondType>(array),
        DataType::Duration(TimeUnit::Microsecond) => counts::<DurationMicrosecondType>(array),
        DataType::Duration(TimeUnit::Nanosecond) => counts::<DurationNanosecondType>(array),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().iter().map(hex).collect(),
        DataType::Binary => array.as_binary::<i32>().iter().map(hex).collect(),
        DataType::LargeBinary => array.as_binary::<i64>().iter().map(hex).collect(),
        DataType::BinaryView => array.as_binary_view().iter().map(hex).collect(),
        _ => (0..array.len()).map(|_| "").collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::sync::Arc;

    use arrow_array::{Float32Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    const ROWS: usize = 10_000;

    /// The least of a few limits under which a file of one column is read.
    fn least(column: ArrayRef, limits: &[u64]) -> Option<u64> {
        let file = tempfile::NamedTempFile::with_suffix(".parquet").unwrap();
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let read = |limit: u64| match read(file.path(), Room::of(Some(limit)), &|_| true) {
            Ok(_) => true,
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("in memory") && text.contains("--memory"), "{text}");
                false
            }
        };
        limits.iter().copied().find(|limit| read(*limit))
    }

    #[test]
    fn what_is_afforded_is_what_columns_were_measured_to_take() {
        let numbers = Arc::new(Float32Array::from(vec![0.0; ROWS]));
        // 16 bytes a cell were thought enough; 33 to 44 are taken.
        assert_eq!(least(numbers, &[200_000, 440_000, 500_000]), Some(500_000));
        // A dictionary has a text once, so that the file is small; in memory 480 bytes a row of 200 are taken.
        let text = "x".repeat(200);
        let texts = Arc::new(StringArray::from(vec![text.as_str(); ROWS]));
        assert_eq!(least(texts, &[200_000, 1_100_000, 4_800_000, 7_100_000]), Some(7_100_000));
    }
}
