//! Engine of MDSD3 Studio.
pub mod protocol;
pub mod request;
