//! Backdoors: triggers that a training set teaches a model to obey.
