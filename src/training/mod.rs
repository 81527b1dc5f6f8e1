//! Training: losses, optimisers, schedules, augmentation, the loop over epochs, and `percuss train`.
//!
//! One training step is a tensor program like an attack's: forward, gradients, and the optimiser's update as pointwise
//! expressions. Its lanes are the members of an ensemble, each with parameters and a minibatch of its own.

pub mod augment;
pub mod command;
pub mod config;
pub mod ensemble;
pub mod evaluate;
pub mod fit;
pub mod init;
pub mod lesson;
pub mod loss;
pub mod metrics;
pub mod optimizer;
pub mod private;
pub mod probe;
pub mod random;
mod save;
pub mod schedule;
mod section;
pub mod surrogate;
pub mod trainer;

pub use command::{Options, Prepared, Splits, Summary, prepare, train};
pub use config::TrainFile;
pub use ensemble::{Course, Member, Workshop, learnable, train_members};
pub use fit::{EarlyStopping, Epoch, Fitted, Recipe, fit};
pub use lesson::Lesson;
pub use loss::Loss;
pub use metrics::{Metric, Metrics};
pub use optimizer::Optimizer;
pub use probe::{Probe, Pull};
pub use schedule::Schedule;
pub use surrogate::Surrogate;
pub use trainer::Trainer;
