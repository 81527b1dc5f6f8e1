//! Tables of an earlier percuss, which had fewer columns, or had them in another order.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};

use super::schema::{Column, Row};
use super::text::Text;
use crate::{Error, Result};

/// What a column should be.
pub(super) fn of_type(field: &Field) -> String {
    let null = if field.is_nullable() { "" } else { ", never null or out of range" };
    format!("a column of {}{null}", field.data_type())
}

/// What it means that a file has no such column.
pub(super) fn lacking(batch: &RecordBatch, field: &Field, file: &Path) -> Error {
    let found = format!("no such column in a file{}", written_by(batch));
    let expected = format!(
        "{}, which percuss {} writes: run the study again into another folder (--out), or read this one with the percuss that wrote it",
        of_type(field),
        env!("CARGO_PKG_VERSION")
    );
    Error::input(file.display(), format!("column {}", field.name()), found, expected)
}

/// A batch of an earlier percuss with `R`'s columns, in their order. One that it lacks is null, or an empty list: then there was nothing to say.
///
/// # Errors
/// [`Error::Input`] for a lacking column of values that are never null.
pub(super) fn completed<R: Row>(batch: &RecordBatch, file: &Path) -> Result<RecordBatch> {
    let own = R::schema();
    let blank =
        || R::to_batch(&std::iter::repeat_with(R::default).take(batch.num_rows()).collect::<Vec<_>>());
    let mut blanks = None;
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in own.fields() {
        let found = batch.schema_ref().column_with_name(field.name());
        if let Some((at, found)) = found {
            fields.push(Arc::new(found.clone()));
            columns.push(batch.column(at).clone());
        } else if field.is_nullable() || matches!(field.data_type(), DataType::List(_)) {
            let blanks = match &mut blanks {
                Some(blanks) => blanks,
                none => none.insert(blank()?),
            };
            columns.extend(blanks.column_by_name(field.name()).cloned());
            fields.push(field.clone());
        } else {
            return Err(lacking(batch, field, file));
        }
    }
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns).map_err(|e| Error::Failed(format!("{}: {e}", file.display())))
}

/// Which version wrote a file, where its rows say so.
fn written_by(batch: &RecordBatch) -> String {
    let versions = batch.column_by_name("version").and_then(|column| <Option<Text> as Column>::read(column));
    let version = versions.and_then(|rows| rows.into_iter().flatten().next());
    version.map_or(String::new(), |version| format!(" that percuss {version} wrote (an earlier state of it)"))
}
