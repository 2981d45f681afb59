//! Files: photos in, anything out.

pub mod atomic;
pub mod builder;
pub mod checkpoint;
#[cfg(test)]
pub(crate) mod damage;
pub mod layout;
pub mod photo;
pub mod progress;
pub mod skeleton;
