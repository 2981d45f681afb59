//! Tensors of MDSD3 Studio.
pub mod degrade;
pub mod error;
pub mod mix;
pub mod pipeline;
