//! Attacks on confidentiality: whose records was a model trained on?
