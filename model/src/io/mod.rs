//! Files: photos in, anything out.

pub mod atomic;
pub mod checkpoint;
pub mod photo;
