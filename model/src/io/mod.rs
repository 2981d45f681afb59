//! Files: photos in, anything out.

pub mod atomic;
pub mod builder;
pub mod checkpoint;
pub mod csv_bytes;
#[cfg(test)]
pub(crate) mod damage;
pub mod find;
pub mod layout;
pub mod photo;
pub mod progress;
pub mod skeleton;
pub mod update;
