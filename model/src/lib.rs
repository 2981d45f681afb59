//! Tensors of MDSD3 Studio.
pub mod error;
pub mod mix;
pub mod pipeline;
