//! What the protocol promises, as a model that is too simple to be wrong, and a node held against it.

mod naive;
mod pair;

pub use naive::Rules;
pub use pair::{Choice, Step, compare};
