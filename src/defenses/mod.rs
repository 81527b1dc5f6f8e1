//! Defences: what a defender runs against an attack, or trains with.
