//! A study that tests put attack tables under.

use std::path::Path;

use percuss::models::{Head, Input, InputKind};
use percuss::sweep::grid::{Grid, Outputs};
use percuss::sweep::study::Study;

/// Everything but `[[attack]]` tables, 12 lines.
pub const HEAD: &str = r#"name = "cxr-v3"
seeds = [0, 1, 2]
[[data]]
id = "test-A"
name = "pneumoniamnist"
[[model]]
id = "v3"
path = "models/v3"
data = ["test-A"]
[[defense]]
id = "none"
# the attacks
"#;

pub const BUDGET: &str = r#"budget = [{ norm = "linf", eps = 1 }]"#;

pub fn parse(text: &str) -> percuss::Result<Study> {
    Study::parse(text, Path::new("studies/s.toml"))
}

pub fn study(attacks: &str) -> Study {
    parse(&format!("{HEAD}{attacks}")).unwrap()
}

pub fn grid(study: &Study) -> Grid {
    Grid::new(study, |_, _| Some(two_classes())).unwrap()
}

/// The one input of a model of images.
pub fn numbers() -> Input {
    Input { name: "input".into(), shape: vec![28, 28, 1], range: 0..784, kind: InputKind::Numbers }
}

pub fn two_classes() -> Outputs {
    Outputs {
        head: Head::Softmax,
        count: 2,
        names: vec!["normal".into(), "pneumonia".into()],
        unlabelled: vec![],
        inputs: vec![numbers()],
        ranges: vec![],
    }
}
