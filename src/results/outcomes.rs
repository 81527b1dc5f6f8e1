//! What the worst case needs of a sample: a narrow view of the `samples` table.

use super::schema::table;
use super::text::Text;

table! {
    /// Some columns of a [`SampleRow`](super::records::SampleRow).
    OutcomeRow = "samples" {
        /// The cell.
        cell_id: Text,
        /// The sample's stable index in its source.
        sample: u64,
        /// Salted hash of the patient or record.
        group: Option<Text>,
        /// The true class.
        label: u32,
        /// The class that the model says of the clean input.
        clean_pred: u32,
        /// Whether the attack reached its aim; null where the sample was not attacked.
        success: Option<bool>,
        /// How many values changed.
        l0: u64,
        /// l1 norm of the change.
        l1: f64,
        /// l2 norm of the change.
        l2: f64,
        /// linf norm of the change.
        linf: f64,
    }
}

table! {
    /// Fewer columns still.
    HeldRow = "samples" {
        /// The cell.
        cell_id: Text,
        /// Whether the attack reached its aim; null where the sample was not attacked.
        success: Option<bool>,
    }
}

impl HeldRow {
    /// Whether the attack did not reach its aim. Samples that are not attacked are the same in all cells that are held against each other.
    pub(super) fn held(&self) -> bool {
        self.success != Some(true)
    }
}

impl OutcomeRow {
    /// The size of the change, in the budget's norm.
    pub(super) fn size(&self, norm: &str) -> f64 {
        match norm {
            "l0" | "tokens" => self.l0 as f64,
            "l1" => self.l1,
            "l2" => self.l2,
            _ => self.linf,
        }
    }
}
