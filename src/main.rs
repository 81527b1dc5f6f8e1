//! The `percuss` program.

fn main() {}
