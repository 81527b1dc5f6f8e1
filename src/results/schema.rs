//! How a Rust struct becomes an Arrow table and comes back: one column type a Rust type, one description a column.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, Field, SchemaRef};

use super::earlier::{lacking, of_type};
use super::text::{Repeats, Text};
use crate::{Error, Result};

/// The key of a column's description in its Arrow field metadata (`pyarrow`: `field.metadata[b"description"]`).
pub const DESCRIPTION: &str = "description";

/// A Rust type that can be a column.
///
/// Counts (`u64`) are stored as Int64 and class numbers (`u32`) as Int32, since a difference of unsigned columns
/// wraps silently in NumPy. An `Option` is a nullable column.
pub trait Column: Sized {
    /// Whether the column may hold nulls.
    const NULLABLE: bool;

    /// The Arrow type.
    fn data_type() -> DataType;

    /// The column that holds `values`, in order.
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a;

    /// The values of `array`; `None` where its type, a null or a negative count does not fit.
    fn read(array: &dyn Array) -> Option<Vec<Self>>;
}

/// One row of a results table.
pub trait Row: Default {
    /// The table's name, which is also the stem of its files.
    const TABLE: &'static str;

    /// Columns in order, each with its description.
    fn schema() -> SchemaRef;

    /// The rows as one Arrow batch.
    fn to_batch(rows: &[Self]) -> Result<RecordBatch>;

    /// The rows of a batch that was read from `file`; columns are found by name and unknown ones ignored.
    ///
    /// # Errors
    /// [`Error::Input`] naming the column that is missing, of another type, or null where it may not be.
    fn from_batch(batch: &RecordBatch, file: &Path) -> Result<Vec<Self>>;
}

/// The Arrow field of a column of type `T`.
pub(super) fn field<T: Column>(name: &str, about: &[&str]) -> Field {
    let about = about.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    Field::new(name, T::data_type(), T::NULLABLE)
        .with_metadata(std::collections::HashMap::from([(DESCRIPTION.to_owned(), about)]))
}

/// The column `name` of a batch.
pub(super) fn read_column<T: Column>(batch: &RecordBatch, name: &str, file: &Path) -> Result<Vec<T>> {
    let array = batch.column_by_name(name).ok_or_else(|| lacking(batch, &field::<T>(name, &[]), file))?;
    T::read(array).ok_or_else(|| {
        let found = format!("{} with {} nulls", array.data_type(), array.null_count());
        Error::input(file.display(), format!("column {name}"), found, of_type(&field::<T>(name, &[])))
    })
}

/// Defines a row struct whose documentation is also the column descriptions, so that the two cannot part.
macro_rules! table {
    (
        $(#[doc = $about_row:literal])+
        $name:ident = $table:literal {
            $( $(#[doc = $about:literal])+ $field:ident : $type:ty, )+
        }
    ) => {
        $(#[doc = $about_row])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $( $(#[doc = $about])+ pub $field: $type, )+
        }

        impl $crate::results::schema::Row for $name {
            const TABLE: &'static str = $table;

            fn schema() -> arrow_schema::SchemaRef {
                use $crate::results::schema::field;
                std::sync::Arc::new(arrow_schema::Schema::new(vec![
                    $( field::<$type>(stringify!($field), &[$($about),+]), )+
                ]))
            }

            fn to_batch(rows: &[Self]) -> $crate::Result<arrow_array::RecordBatch> {
                use $crate::results::schema::Column;
                let columns = vec![
                    $( <$type as Column>::array(rows.iter().map(|row| &row.$field)), )+
                ];
                arrow_array::RecordBatch::try_new(Self::schema(), columns)
                    .map_err(|e| $crate::Error::Failed(format!("{} rows: {e}", $table)))
            }

            fn from_batch(
                batch: &arrow_array::RecordBatch,
                file: &std::path::Path,
            ) -> $crate::Result<Vec<Self>> {
                use $crate::results::schema::read_column;
                $( let mut $field = read_column::<$type>(batch, stringify!($field), file)?.into_iter(); )+
                // Every column has the batch's length, so the first `None` is the end.
                Ok(std::iter::from_fn(|| Some(Self { $( $field: $field.next()?, )+ })).collect())
            }
        }
    };
}
pub(super) use table;

/// `Some(values)` where no item is missing.
fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    values.collect()
}

impl Column for Text {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = StringBuilder::new();
        values.for_each(|v| builder.append_value(v));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        let mut repeats = Repeats::default();
        all(array.as_string_opt::<i32>()?.iter().map(|v| v.map(|v| repeats.of(v))))
    }
}

impl Column for Option<Text> {
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = StringBuilder::new();
        values.for_each(|v| builder.append_option(v.as_deref()));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        let mut repeats = Repeats::default();
        Some(array.as_string_opt::<i32>()?.iter().map(|v| v.map(|v| repeats.of(v))).collect())
    }
}

impl Column for bool {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = BooleanBuilder::new();
        values.for_each(|v| builder.append_value(*v));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        all(array.as_boolean_opt()?.iter())
    }
}

impl Column for Option<bool> {
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = BooleanBuilder::new();
        values.for_each(|v| builder.append_option(*v));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        Some(array.as_boolean_opt()?.iter().collect())
    }
}

impl Column for f64 {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        DataType::Float64
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Float64Builder::new();
        values.for_each(|v| builder.append_value(*v));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        all(array.as_primitive_opt::<Float64Type>()?.iter())
    }
}

impl Column for Option<f64> {
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Float64
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Float64Builder::new();
        values.for_each(|v| builder.append_option(*v));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        Some(array.as_primitive_opt::<Float64Type>()?.iter().collect())
    }
}

impl Column for u32 {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        DataType::Int32
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Int32Builder::new();
        values.for_each(|v| builder.append_value(i32::try_from(*v).unwrap_or(i32::MAX)));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        all(array.as_primitive_opt::<Int32Type>()?.iter().map(|v| v?.try_into().ok()))
    }
}

impl Column for Option<u32> {
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Int32
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Int32Builder::new();
        values.for_each(|v| builder.append_option(v.map(|v| i32::try_from(v).unwrap_or(i32::MAX))));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        let values = array.as_primitive_opt::<Int32Type>()?;
        all(values.iter().map(|v| v.map_or(Some(None), |v| v.try_into().ok().map(Some))))
    }
}

impl Column for u64 {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        DataType::Int64
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Int64Builder::new();
        values.for_each(|v| builder.append_value(i64::try_from(*v).unwrap_or(i64::MAX)));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        all(array.as_primitive_opt::<Int64Type>()?.iter().map(|v| v?.try_into().ok()))
    }
}

impl Column for Option<u64> {
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Int64
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Int64Builder::new();
        values.for_each(|v| builder.append_option(v.map(|v| i64::try_from(v).unwrap_or(i64::MAX))));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        let values = array.as_primitive_opt::<Int64Type>()?;
        all(values.iter().map(|v| v.map_or(Some(None), |v| v.try_into().ok().map(Some))))
    }
}

/// The type of a list column, whose items may be null only where `nullable`.
fn list_type(item: DataType, nullable: bool) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, nullable)))
}

/// The lists of a column, each as an array; `None` where the type or a null list does not fit.
fn lists(array: &dyn Array) -> Option<Vec<ArrayRef>> {
    all(array.as_list_opt::<i32>()?.iter())
}

/// A column of lists of numbers.
fn float_lists<'a>(lists: impl Iterator<Item = &'a [f32]>) -> ArrayRef {
    let item = Field::new("item", DataType::Float32, false);
    let mut builder = ListBuilder::new(Float32Builder::new()).with_field(item);
    for list in lists {
        builder.values().append_slice(list);
        builder.append(true);
    }
    Arc::new(builder.finish())
}

impl Column for Vec<f32> {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        list_type(DataType::Float32, false)
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        float_lists(values.map(Vec::as_slice))
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        lists(array)?.iter().map(|v| all(v.as_primitive_opt::<Float32Type>()?.iter())).collect()
    }
}

impl Column for Arc<[f32]> {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        Vec::<f32>::data_type()
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        float_lists(values.map(|list| &**list))
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        Some(Vec::<f32>::read(array)?.into_iter().map(Into::into).collect())
    }
}

impl Column for Vec<u64> {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        list_type(DataType::Int64, false)
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let item = Field::new("item", DataType::Int64, false);
        let mut builder = ListBuilder::new(Int64Builder::new()).with_field(item);
        for list in values {
            list.iter().for_each(|v| builder.values().append_value(i64::try_from(*v).unwrap_or(i64::MAX)));
            builder.append(true);
        }
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        lists(array)?.iter().map(|v| u64::read(v)).collect()
    }
}

impl Column for Vec<Text> {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        list_type(DataType::Utf8, false)
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let item = Field::new("item", DataType::Utf8, false);
        let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item);
        for list in values {
            list.iter().for_each(|v| builder.values().append_value(v));
            builder.append(true);
        }
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        lists(array)?.iter().map(|v| Text::read(v)).collect()
    }
}

impl Column for Vec<Option<Text>> {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        list_type(DataType::Utf8, true)
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for list in values {
            list.iter().for_each(|v| builder.values().append_option(v.as_deref()));
            builder.append(true);
        }
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        lists(array)?.iter().map(|v| Option::<Text>::read(v)).collect()
    }
}

impl Column for Vec<bool> {
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        list_type(DataType::Boolean, false)
    }

    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let item = Field::new("item", DataType::Boolean, false);
        let mut builder = ListBuilder::new(BooleanBuilder::new()).with_field(item);
        for list in values {
            builder.values().append_slice(list);
            builder.append(true);
        }
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        lists(array)?.iter().map(|v| bool::read(v)).collect()
    }
}
