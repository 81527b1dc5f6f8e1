//! Reading tables from Parquet files.

use std::path::Path;

use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    AnyDictionaryArray, Array, ArrayRef, ArrowPrimitiveType, BooleanArray, LargeStringArray, PrimitiveArray,
    StringArray, StringViewArray,
};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::npz::file_sha256;
use super::table::{Column, Table};
use crate::{Error, Result};

/// Reads the Parquet file at `path`: numbers and booleans (0, 1) become numbers, texts categories.
///
/// # Errors
/// A file that is no Parquet file or is damaged, and columns of other types, by name.
pub fn read(path: &Path) -> Result<Table> {
    let file = crate::files::open(path)?;
    let bad = |error: &dyn std::fmt::Display| {
        Error::input(path.display(), "parquet", error.to_string(), "an undamaged Parquet file")
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| bad(&e))?;
    let schema = builder.schema().clone();
    let mut columns: Vec<Column> = Vec::new();
    for batch in builder.build().map_err(|e| bad(&e))? {
        let batch = batch.map_err(|e| bad(&e))?;
        for (k, array) in batch.columns().iter().enumerate() {
            let part = column(array).ok_or_else(|| unsupported(path, &schema.field(k).to_string()))?;
            match columns.get_mut(k) {
                Some(whole) => append(whole, part),
                None => columns.push(part),
            }
        }
    }
    if columns.is_empty() {
        return Err(Error::input(path.display(), "rows", "none", "at least one"));
    }
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    Table::new(path.display().to_string(), file_sha256(path)?, names, columns)
}

fn unsupported(path: &Path, field: &str) -> Error {
    Error::input(path.display(), "column", field, "a column of numbers, booleans or texts")
}

fn append(whole: &mut Column, part: Column) {
    match (whole, part) {
        (Column::Number(all), Column::Number(more)) => all.extend(more),
        (Column::Category(all), Column::Category(more)) => all.extend(more),
        // One schema holds for all batches, so that a column cannot change its type.
        _ => {}
    }
}

fn column(array: &ArrayRef) -> Option<Column> {
    let any = array.as_any();
    let texts = |texts: Vec<Option<&str>>| {
        Some(Column::Category(texts.into_iter().map(|t| t.map(str::to_string)).collect()))
    };
    match array.data_type() {
        DataType::Boolean => {
            let values = any.downcast_ref::<BooleanArray>()?;
            Some(Column::Number(values.iter().map(|v| v.map(f64::from)).collect()))
        }
        DataType::Float16 => numbers::<Float16Type>(array, |v| v.to_f64()),
        DataType::Float32 => numbers::<Float32Type>(array, f64::from),
        DataType::Float64 => numbers::<Float64Type>(array, |v| v),
        DataType::Int8 => numbers::<Int8Type>(array, f64::from),
        DataType::Int16 => numbers::<Int16Type>(array, f64::from),
        DataType::Int32 => numbers::<Int32Type>(array, f64::from),
        DataType::Int64 => numbers::<Int64Type>(array, |v| v as f64),
        DataType::UInt8 => numbers::<UInt8Type>(array, f64::from),
        DataType::UInt16 => numbers::<UInt16Type>(array, f64::from),
        DataType::UInt32 => numbers::<UInt32Type>(array, f64::from),
        DataType::UInt64 => numbers::<UInt64Type>(array, |v| v as f64),
        DataType::Utf8 => texts(any.downcast_ref::<StringArray>()?.iter().collect()),
        DataType::LargeUtf8 => texts(any.downcast_ref::<LargeStringArray>()?.iter().collect()),
        DataType::Utf8View => texts(any.downcast_ref::<StringViewArray>()?.iter().collect()),
        DataType::Dictionary(_, _) => dictionary(array),
        _ => None,
    }
}

/// A NaN in a floating-point column is a missing value: that is how pandas writes one.
fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef, to_f64: fn(T::Native) -> f64) -> Option<Column> {
    let values = array.as_any().downcast_ref::<PrimitiveArray<T>>()?;
    Some(Column::Number(values.iter().map(|v| v.map(to_f64).filter(|v| !v.is_nan())).collect()))
}

fn dictionary(array: &ArrayRef) -> Option<Column> {
    use arrow_array::cast::AsArray;
    let dictionary: &dyn AnyDictionaryArray = array.as_any_dictionary_opt()?;
    let values = column(dictionary.values())?;
    let keys = dictionary.normalized_keys();
    let valid = |row: usize| !dictionary.keys().is_null(row);
    Some(match values {
        Column::Number(values) => Column::Number(
            keys.iter().enumerate().map(|(r, &k)| valid(r).then(|| values.get(k).copied()?)?).collect(),
        ),
        Column::Category(values) => Column::Category(
            keys.iter().enumerate().map(|(r, &k)| valid(r).then(|| values.get(k).cloned()?)?).collect(),
        ),
    })
}
